// What is skipped and why, and how results are told.
#include <gmock/gmock.h>

#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>

#include "suite.hpp"

namespace grpo::plugins {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

std::string error_of(const std::string& file, const ValidateSettings& with) {
  try {
    validate(file, with);
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

const ValidationResult& result_of(const Validation& v, const std::string& check) {
  for (const ValidationResult& r : v.results)
    if (r.check == check) return r;
  throw std::runtime_error("no result for " + check);
}

TEST(Report, AQuirkOfTheManifestIsSkippedWithItsReason) {
  ValidateSettings with = settings({"reward.order", "reward.split"});
  with.options = R"({"key": "k"})";
  const Validation v = validate(broken("library_QUIRKS"), with);
  EXPECT_EQ(result_of(v, "reward.order").verdict, Verdict::skipped);
  EXPECT_THAT(result_of(v, "reward.order").why, HasSubstr("it looks at its place in the batch"));
  EXPECT_EQ(result_of(v, "reward.split").verdict, Verdict::pass);
}

TEST(Report, AQuirkThatIsNoCheckIsRefused) {
  EXPECT_THAT(error_of(broken("library_QUIRK_NAME"), settings({"reward.order"})),
              AllOf(HasSubstr("reward.ordre"), HasSubstr("which is no check")));
}

TEST(Report, WhatNeedsAnOptionIsSkipped) {
  const Validation v = validate(broken("library_QUIRKS"), settings({"reward"}));
  EXPECT_TRUE(v.passed());
  EXPECT_EQ(v.count(Verdict::pass), 0);
  EXPECT_THAT(result_of(v, "reward.split").why, HasSubstr("open needs the option 'key'"));
}

TEST(Report, AMistakeThatFailsManyChecksIsToldOnce) {
  Validation v;
  v.path = "x.so";
  const auto add = [&](const std::string& component, const std::string& check, const std::string& why) {
    v.results.push_back({component, check, "what " + check, Verdict::fail, why, "mend it", 0});
  };
  add("a", "reward.answers", "it crashed");
  add("a", "reward.order", "it crashed");
  add("a", "reward.split", "something else");
  add("b", "reward.answers", "it crashed");
  const std::string table = table_of(v);
  const auto times = [&](const std::string& part) {
    std::size_t n = 0;
    for (auto at = table.find(part); at != table.npos; at = table.find(part, at + 1)) ++n;
    return n;
  };
  EXPECT_EQ(times("why: it crashed\n"), 2u) << table;  // once for each component
  EXPECT_EQ(times("why: as reward.answers\n"), 1u) << table;
  EXPECT_EQ(times("why: something else\n"), 1u) << table;
  EXPECT_EQ(times("do:  mend it\n"), 3u) << table;
}

TEST(Report, WhatIsNotOfferedIsSkipped) {
  const Validation v = validate(broken("library_none"), settings({"reward.concurrent"}));
  EXPECT_EQ(v.results.at(0).verdict, Verdict::skipped);
  EXPECT_THAT(v.results.at(0).why, HasSubstr("GRPO_REWARD_CONCURRENT"));
}

TEST(Report, AFileThatIsNoPluginFailsAndNothingElseRuns) {
  const auto file = std::filesystem::temp_directory_path() / ("grpo_no_plugin." + std::to_string(::getpid()) + ".so");
  std::ofstream(file) << "not a library";
  const Validation v = validate(file.string(), settings());
  std::filesystem::remove(file);
  EXPECT_FALSE(v.passed());
  EXPECT_EQ(result_of(v, "library.manifest").verdict, Verdict::fail);
  EXPECT_EQ(result_of(v, "library.loads").verdict, Verdict::fail);
  for (const ValidationResult& r : v.results) EXPECT_EQ(r.component, "");
}

TEST(Report, TableAndJson) {
  ValidateSettings with = settings({"reward.answers", "reward.order"});
  with.options = R"({"fault": "by_place"})";
  int told = 0;
  with.on_result = [&](const ValidationResult&) { ++told; };
  const Validation v = validate(broken("reward"), with);
  EXPECT_EQ(told, 2);
  EXPECT_THAT(table_of(v), AllOf(HasSubstr("reward.order    FAIL"), HasSubstr("why: sample"),
                                 HasSubstr("do:  the same sample"), HasSubstr("1 passed, 1 failed, 0 skipped")));
  const json j = json_of(v);
  EXPECT_EQ(j["passed"], false);
  EXPECT_EQ(j["plugin"], "broken_reward");
  EXPECT_EQ(j["counts"], (json{{"pass", 1}, {"fail", 1}, {"skipped", 0}}));
  EXPECT_EQ(j["checks"][1]["result"], "fail");
  EXPECT_EQ(j["checks"][1]["component"], "broken");
  EXPECT_NE(j["checks"][1]["way_out"], "");
}

TEST(Report, MistakesOfTheCaller) {
  EXPECT_THAT(error_of("/nowhere/a.so", settings()), HasSubstr("/nowhere/a.so: no such file"));
  EXPECT_THAT(error_of(broken("reward"), settings({"reward.ordre"})), HasSubstr("there is no check 'reward.ordre'"));
  ValidateSettings with = settings();
  with.component = "other";
  EXPECT_THAT(error_of(broken("reward"), with), HasSubstr("has no component 'other'"));
  with.component.clear();
  with.options = "[1]";
  EXPECT_THAT(error_of(broken("reward"), with), HasSubstr("not a JSON object"));
  with.options.clear();
  with.helper = "/nowhere/grpo-plugin-check";
  EXPECT_THAT(error_of(broken("reward"), with), HasSubstr("cannot start /nowhere/grpo-plugin-check"));
}

TEST(Report, ChecksAreNamedByKindAndUnique) {
  std::set<std::string> ids;
  for (const ValidationCheck& c : validation_checks()) {
    EXPECT_TRUE(c.id.starts_with(c.kind + ".")) << c.id;
    EXPECT_TRUE(ids.insert(c.id).second) << c.id;
    EXPECT_FALSE(c.what.empty());
  }
  EXPECT_GT(ids.size(), 50u);
}

// The command: what it prints, and its exit status.
std::pair<std::string, int> command(const std::string& arguments) {
  std::string out;
  FILE* pipe = ::popen((std::string(HOST) + " plugins validate " + arguments + " 2>&1").c_str(), "r");
  char text[4096];
  for (std::size_t n; (n = std::fread(text, 1, sizeof text, pipe)) > 0;) out.append(text, n);
  const int status = ::pclose(pipe);
  return {out, WEXITSTATUS(status)};
}

TEST(Command, ExitStatusTableAndJson) {
  const auto [good, zero] = command(broken("reward") + " --only reward.order --only library.loads");
  EXPECT_EQ(zero, 0) << good;
  EXPECT_THAT(good, HasSubstr("2 passed, 0 failed, 0 skipped"));
  const auto [bad, one] =
      command(broken("reward") + R"( --only reward.order --json --options '{"fault": "by_place"}')");
  EXPECT_EQ(one, 1) << bad;
  EXPECT_EQ(json::parse(bad)["counts"]["fail"], 1);
  const auto [all, listed] = command("--list");
  EXPECT_EQ(listed, 0);
  EXPECT_EQ(static_cast<std::size_t>(std::count(all.begin(), all.end(), '\n')), validation_checks().size());
  const auto [which, mistake] = command("");
  EXPECT_EQ(mistake, 1);
  EXPECT_THAT(which, HasSubstr("which file?"));
}

TEST(Report, TheDocumentNamesEveryCheck) {
  std::ifstream in(std::string(GRPO_SOURCE_DIR) + "/docs/validate.md");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  for (const ValidationCheck& c : validation_checks()) EXPECT_THAT(text, HasSubstr("`" + c.id + "`"));
}

}  // namespace
}  // namespace grpo::plugins
