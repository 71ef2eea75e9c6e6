// What the conformance suite says, and what is left after many handles.
#include <dirent.h>

#include <algorithm>
#include <fstream>
#include <grpo/sdk/plugins/validate.hpp>
#include <iterator>

#include "support.hpp"

namespace rewards_python_test {
namespace {

using Sound = Python;

TEST_F(Sound, PassesTheSuite) {
  grpo::plugins::ValidateSettings with;
  with.helper = HELPER;
  with.quick = true;
  // Opening a hundred times, and from four threads at once, is a hundred interpreters: below it is a few.
  with.only = {"library",           "component.open",        "component.query", "component.fields",
               "component.options", "component.failed_open", "reward"};
  with.options = options_of("signatures.py:trl_async").dump();
  const auto v = grpo::plugins::validate(GRPO_PLUGIN_DIR "/reward_python.so", with);
  EXPECT_TRUE(v.passed()) << table_of(v);
  EXPECT_GT(v.count(grpo::plugins::Verdict::pass), 20) << table_of(v);
}

std::ptrdiff_t entries(const char* folder) {
  DIR* open = ::opendir(folder);
  std::ptrdiff_t n = 0;
  while (::readdir(open)) ++n;
  ::closedir(open);
  return n;
}

// Processes that this thread has started and that have not been waited for.
std::string children() {
  std::ifstream in("/proc/thread-self/children");
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST_F(Sound, LeavesNothingBehind) {
  const auto once = [] {
    OpenReward reward("python", options_of("signatures.py:easy", {{"workers", 2}}));
    EXPECT_EQ(reward.score({sample("x", "x")}).count(GRPO_SAMPLE_OK), 1);
  };
  once();
  const auto descriptors = entries("/proc/self/fd"), threads = entries("/proc/self/task");
  for (int i = 0; i < 5; ++i) {
    once();
    refusal(options_of("broken_import.py:f"));
  }
  EXPECT_EQ(entries("/proc/self/fd"), descriptors);
  EXPECT_EQ(entries("/proc/self/task"), threads);
  EXPECT_EQ(children(), "");
}

}  // namespace
}  // namespace rewards_python_test
