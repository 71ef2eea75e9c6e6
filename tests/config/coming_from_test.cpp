// docs/coming-from: every key that a page names is one.
#include "coming_from.hpp"

namespace grpo_test {
namespace {

TEST(ComingFrom, EveryNamedKeyExists) {
  const std::regex key("[a-z_]+(\\.[a-z_0-9]+)+");
  int named = 0, rows = 0;
  for (const Table& table : tables()) {
    if (!table.maps_options()) continue;
    for (const Row& row : table.rows) {
      ASSERT_GE(row.cells.size(), 3u) << row.where;
      ++rows;
      const bool not_here = row.cells[1].find("not here, because") != std::string::npos;
      EXPECT_TRUE(!not_here || row.cells[2].size() > 10) << row.where << ": without a reason";
      int keys = 0;
      for (const auto& code : code_in(row.cells[1])) {
        EXPECT_TRUE(std::regex_match(code, key) && key_schema(code)) << row.where << ": there is no key " << code;
        ++keys;
      }
      EXPECT_TRUE(not_here || keys > 0) << row.where << ": neither a key nor a reason";
      named += keys;
    }
  }
  EXPECT_GT(rows, 250);
  EXPECT_GT(named, 350);
  EXPECT_FALSE(key_schema("run.no_such_key"));
  EXPECT_TRUE(key_schema("evaluation.datasets.prompt_style"));
}

// What the pages tell to run is there.
TEST(ComingFrom, NamedConfigurationsExist) {
  const std::regex file("configs/[a-z0-9-]+\\.yaml");
  int found = 0;
  for (const auto& entry : fs::directory_iterator(coming_from)) {
    const std::string page = read(entry.path());
    for (std::sregex_iterator at(page.begin(), page.end(), file), end; at != end; ++at, ++found)
      EXPECT_TRUE(fs::exists(fs::path(GRPO_SOURCE_DIR) / at->str())) << entry.path() << ": " << at->str();
  }
  EXPECT_GT(found, 10);
}

}  // namespace
}  // namespace grpo_test
