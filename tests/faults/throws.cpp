// A static initialiser that throws: inside dlopen nothing can catch it.
#include <grpo/reward.hpp>

#include <cstdlib>
#include <stdexcept>

GRPO_MANIFEST({"name": "throws", "version": "1.0.0", "licence": "MIT",
               "components": [{"interface": "grpo.reward/1", "name": "throws"}]});

namespace {
int read_table() {
  if (!std::getenv("GRPO_TEST_TABLE")) throw std::runtime_error("table.bin is not there");
  return 1;
}
const int table = read_table();
}  // namespace

struct throws {
  explicit throws(grpo::options) {}
  grpo::score operator()(const grpo::sample&) const { return table; }
};
GRPO_REWARD(throws, "throws");
