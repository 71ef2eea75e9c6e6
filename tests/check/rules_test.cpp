// Every rule has something that breaks it, and is caught breaking it; the page of rules lists them all.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "support.hpp"

namespace grpo::plugins {
namespace {

std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (const auto& part : {reward_cases(), model_cases(), decode_cases(), sampler_cases(), optimizer_cases()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

class BrokenPlugin : public testing::TestWithParam<Case> {};

TEST_P(BrokenPlugin, IsCaught) {
  const Case& c = GetParam();
#if defined(__SANITIZE_ADDRESS__)
  if (c.rule == "text.stack") GTEST_SKIP() << "locals are not on the stack there";
#endif
  Said said;
  c.run(said);
  ASSERT_TRUE(said.has(c.rule)) << "it was not seen; what was:\n" << said.text();
  for (const Violation& v : said.all()) {
    if (v.rule->id != c.rule) continue;
    EXPECT_EQ(v.by_caller, c.by_caller) << v.text();
    EXPECT_FALSE(v.function.empty());
    EXPECT_NE(v.path.find("broken_"), std::string::npos) << "the plugin is not named: " << v.text();
    EXPECT_NE(v.text().find("[" + c.rule + "]"), std::string::npos) << v.text();
  }
}

std::string name_of(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.rule;
  for (char& c : name)
    if (c == '.') c = '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Rule, BrokenPlugin, testing::ValuesIn(all_cases()), name_of);

TEST(Rules, EachIsBrokenByACase) {
  std::set<std::string> known, broken;
  for (const Rule* rule : rules()) EXPECT_TRUE(known.insert(rule->id).second) << rule->id << " occurs twice";
  for (const Case& c : all_cases()) EXPECT_TRUE(broken.insert(c.rule).second) << c.rule << " has two cases";
  EXPECT_EQ(known, broken);
  EXPECT_GT(known.size(), 80u);
}

TEST(Rules, ThePageListsThem) {
  std::ifstream in(GRPO_SOURCE_DIR "/docs/checks.md");
  std::ostringstream page;
  page << in.rdbuf();
  for (const Rule* rule : rules()) {
    const std::string row = "| `" + std::string(rule->id) + "` | " +
                            (rule->severity == Severity::advice ? "advice" : "violation") + " | " + rule->meaning +
                            " | " + rule->way_out + " |";
    EXPECT_NE(page.str().find(row), std::string::npos) << "docs/checks.md lacks this row:\n" << row;
  }
}

}  // namespace
}  // namespace grpo::plugins
