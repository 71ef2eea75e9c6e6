// Every configuration in the repository loads: a renamed key cannot leave one behind.
#include <filesystem>

#include "loading.hpp"

TEST(Shipped, EveryConfigurationLoads) {
  int files = 0;
  for (const char* folder : {"configs", "host/demo"})
    for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(GRPO_SOURCE_DIR) / folder)) {
      if (entry.path().extension() != ".yaml") continue;
      EXPECT_NO_THROW(grpo::config::load(entry.path())) << entry.path();
      ++files;
    }
  EXPECT_GE(files, 3);
}
