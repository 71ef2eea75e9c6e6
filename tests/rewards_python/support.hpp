// support.hpp: the functions of this folder as rewards.
#ifndef GRPO_TESTS_REWARDS_PYTHON_SUPPORT_HPP
#define GRPO_TESTS_REWARDS_PYTHON_SUPPORT_HPP

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <test/reward.hpp>

namespace rewards_python_test {

using grpo_test::json;
using grpo_test::OpenReward;
using grpo_test::Row;

inline std::string function(const std::string& spec) { return std::string(GRPO_TEST_DATA "/functions/") + spec; }

// What python3 in PATH is, behind the scripts that may stand there; empty: none, or an old one.
inline const std::string& interpreter() {
  static const std::string found = [] {
    std::string out;
    if (FILE* pipe = ::popen(
            "python3 -c 'import sys; print(sys.executable if sys.version_info >= (3, 9) else str())' 2>&1", "r")) {
      char text[4096];
      if (std::fgets(text, sizeof text, pipe)) out = text;
      if (::pclose(pipe) != 0) out.clear();
    }
    while (!out.empty() && out.back() == '\n') out.pop_back();
    return out;
  }();
  return found;
}

inline json options_of(const std::string& spec, json more = json::object()) {
  more["function"] = function(spec);
  if (!more.contains("python")) more["python"] = interpreter();
  return more;
}

inline std::string refusal(const json& options) { return grpo_test::refusal("python", options); }

// A row with one completion, with as many ids as letters.
inline Row sample(const std::string& completion, const std::string& truth = "") {
  Row row;
  row.completions = {completion};
  row.truth = truth;
  row.ids = {std::vector<std::int32_t>(completion.size(), 1)};
  return row;
}
inline std::vector<Row> samples(const std::vector<std::string>& completions) {
  std::vector<Row> out;
  for (const auto& c : completions) out.push_back(sample(c));
  return out;
}

class Python : public testing::Test {
 protected:
  void SetUp() override {
    if (interpreter().empty()) GTEST_SKIP() << "no Python 3.9 or later on this machine";
    ::unsetenv("VIRTUAL_ENV");
  }
};

}  // namespace rewards_python_test

#endif
