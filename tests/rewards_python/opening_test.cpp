// What is wrong is told when the reward opens, with the way out.
#include <filesystem>
#include <fstream>

#include "support.hpp"

namespace rewards_python_test {
namespace {

namespace fs = std::filesystem;

bool says(const std::string& text, std::initializer_list<const char*> all) {
  for (const char* one : all)
    if (text.find(one) == text.npos) return ADD_FAILURE() << "no `" << one << "` in: " << text, false;
  return true;
}

using Opening = Python;

TEST_F(Opening, WhatCannotBeImported) {
  says(refusal(options_of("nowhere.py:f")), {"there is no file", "nowhere.py"});
  says(refusal(options_of("signatures.py:nothing")), {"signatures.py has no `nothing`; it has: ", "easy_batch"});
  says(refusal(options_of("signatures.py:Judge")), {"`Judge` is a class"});
  says(refusal(options_of("signatures.py:KWARG")), {"`KWARG` is no function but float"});
  says(refusal(options_of("broken_import.py:f")),
       {"ModuleNotFoundError: No module named 'no_such_module_of_mine'", "; asked in /", "with the option `python`",
        "broken_import.py\", line 1", "Traceback"});
  says(refusal({{"function", "no_such_package_of_mine.rewards:f"}}), {"No module named 'no_such_package_of_mine'"});
}

TEST_F(Opening, WhatCannotBeCalled) {
  says(refusal(options_of("no_style.py:f")), {"its parameters (x, y) are of no known style", "EasyR1", "TRL", "verl"});
  says(refusal(options_of("signatures.py:easy", {{"kwargs", {{"weight", 1}}}})),
       {"it has no parameter `weight`", "it has: reward_input, format_weight"});
}

TEST_F(Opening, AnImportThatTakesTooLong) {
  says(refusal(options_of("slow_import.py:f", {{"start_timeout", 1}})), {"not imported within 1 s", "start_timeout"});
}

TEST_F(Opening, AStyleThatIsTold) {
  OpenReward reward("python", options_of("old_easyr1.py:compute_score", {{"style", "easyr1"}}));
  EXPECT_EQ(reward.score({sample("abc")}).score[0], 3);
}

// EasyR1's own examples have a math.py.
TEST_F(Opening, AFileNamedAsAModuleOfPython) {
  OpenReward reward("python", options_of("beside/math.py"));
  EXPECT_EQ(reward.score({sample("abc")}).score[0], 6);
}

TEST_F(Opening, FromAPackage) {
  OpenReward reward("python", {{"function", "signatures:easy"}, {"python_path", {GRPO_TEST_DATA "/functions"}}});
  EXPECT_EQ(reward.score({sample("abc", "abc")}).score[0], 0.9);
}

// An interpreter of ours that only says its version, as bootstrap meets it.
class Interpreters : public Python {
 protected:
  void SetUp() override {
    Python::SetUp();
    folder_ = fs::path(testing::TempDir()) / "python_reward_interpreters";
    fs::create_directories(folder_ / "bin");
  }
  void TearDown() override {
    fs::remove_all(folder_);
    ::unsetenv("VIRTUAL_ENV");
  }
  fs::path script(const std::string& name, const std::string& text) {
    const fs::path path = folder_ / "bin" / name;
    std::ofstream(path) << text;
    fs::permissions(path, fs::perms::owner_all);
    return path;
  }
  fs::path folder_;
};

TEST_F(Interpreters, TooOld) {
  // The real one, made to believe that it is old.
  const auto old = script(
      "python3",
      "#!/bin/sh\nshift\nexec python3 -c \"import sys; sys.version_info = (3, 8, 1); sys.version = '3.8.1'\n$1\"\n");
  says(refusal(options_of("signatures.py:easy", {{"python", old.string()}})),
       {"is Python 3.8.1, and 3.9 or later is needed"});
}

TEST_F(Interpreters, NoInterpreter) {
  says(refusal(options_of("signatures.py:easy", {{"python", "/nowhere/python3"}})),
       {"/nowhere/python3, which is no program"});
  says(refusal(options_of("signatures.py:easy", {{"python", folder_.string()}})), {"holds no bin/python3"});
  const auto other = script("python3", "#!/bin/sh\necho I am something else\nexit 7\n");
  says(refusal(options_of("signatures.py:easy", {{"python", other.string()}})),
       {"ended with exit status 7", "I am something else"});
}

TEST_F(Interpreters, OfAVirtualEnvironment) {
  const auto mark = folder_ / "used";
  script("python3", "#!/bin/sh\ntouch " + mark.string() + "\nexec python3 \"$@\"\n");
  ::setenv("VIRTUAL_ENV", folder_.c_str(), 1);
  OpenReward by_environment("python", options_of("signatures.py:easy", {{"python", ""}}));
  EXPECT_TRUE(fs::remove(mark));
  ::unsetenv("VIRTUAL_ENV");
  OpenReward by_path("python", options_of("signatures.py:easy", {{"python", ""}}));
  EXPECT_FALSE(fs::exists(mark));
  OpenReward by_folder("python", options_of("signatures.py:easy", {{"python", folder_.string()}}));
  EXPECT_TRUE(fs::exists(mark));
}

}  // namespace
}  // namespace rewards_python_test
