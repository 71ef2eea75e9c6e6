// score: its exit status, and what it says of rewards that fail, crash or hang.
#include <gmock/gmock.h>

#include "support.hpp"

namespace e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::string fine = R"({"completion": "fine"})"
                         "\n",
                  wrong = R"({"completion": "wrong"})"
                          "\n";

class Score : public testing::Test {
 protected:
  Result score(const std::string& arguments, const std::string& input) const {
    return host("score " + arguments, scratch_.path(), input);
  }
  Result scores(const std::string& name, const std::string& input) const {
    return score("--plugins " FAULTS "/fault_scores.so --reward " + name, input);
  }
  // A plugin that ends its process: what is said of it here, and of its samples with --isolate. The status here.
  int named_and_survived(const std::string& how, const std::string& here, const char* apart) const {
    const std::string run =
        "--batch 1 --plugins " FAULTS "/fault_crashes.so --reward crashes --options '{\"how\": \"" + how + "\"}'";
    const Result bare = score(run, fine), isolated = score("--isolate " + run, fine);
    EXPECT_THAT(bare.err, AllOf(HasSubstr("grpo-host: " + here + " in plugin 'crashes' ("),
                                HasSubstr("fault_crashes.so): score\n"), HasSubstr("score --isolate")));
    EXPECT_EQ(isolated.status, 1);
    EXPECT_THAT(isolated.out, HasSubstr(apart));
    return bare.status;
  }
  Scratch scratch_;
};

TEST_F(Score, EndsWithOneWhenNothingHasAScoreForAllThatFailed) {
  const Result all = scores("fails", fine + fine);
  EXPECT_EQ(all.status, 1);
  EXPECT_THAT(all.err, HasSubstr("2 errors and 0 time-outs in 2 samples; the first: plugin 'fails'"));
  ASSERT_EQ(lines(all.out).size(), 2u);
  EXPECT_EQ(lines(all.out)[1]["status"], "error");

  const Result some = scores("throws", fine + wrong);
  EXPECT_EQ(some.status, 0);
  EXPECT_THAT(some.err, HasSubstr("1 error and 0 time-outs in 2 samples; the first: cannot read the answer"));

  const Result none = scores("nan", fine + fine);
  EXPECT_EQ(none.status, 0);
  EXPECT_EQ(none.err, "");
  EXPECT_EQ(scores("nan", "").status, 0);
}

TEST_F(Score, EndsWithOneWhenALineIsNoSample) {
  const Result result = scores("nan", fine + "{\"text\": 1}\n" + "no JSON\n");
  EXPECT_EQ(result.status, 1);
  const auto rows = lines(result.out);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0]["status"], "ok");
  EXPECT_TRUE(rows[1].contains("error"));
  EXPECT_TRUE(rows[2].contains("error"));
}

TEST_F(Score, ACrashIsNamedAndIsolationGoesOn) {
  EXPECT_NE(named_and_survived("null", "SIGSEGV (at address 0x0)", "killed by SIGSEGV"), 0);
}

TEST_F(Score, AnExitOfThePluginIsNotTheEndOfTheWork) { EXPECT_EQ(named_and_survived("exit", "exit(0)", "exit"), 1); }

TEST_F(Score, ACallThatHangsIsLeftBehind) {
  const Result result = score("--batch 1 --timeout 0.2 --plugins " MOODY " --reward stuck", fine + fine);
  EXPECT_EQ(result.status, 1);
  const auto rows = lines(result.out);
  ASSERT_EQ(rows.size(), 2u);
  for (const auto& row : rows) EXPECT_EQ(row["status"], "timeout") << row;
  EXPECT_THAT(rows[0]["message"].get<std::string>(), HasSubstr("did not come back 5 s after the limit"));
  EXPECT_THAT(rows[1]["message"].get<std::string>(), HasSubstr("its process was killed"));
}

TEST_F(Score, ALimitIsANumber) {
  EXPECT_THAT(scores("nan --timeout nan", fine).err, HasSubstr("--timeout: not a number: nan"));
  EXPECT_NE(scores("nan --timeout -1", fine).status, 0);
  EXPECT_EQ(scores("nan --timeout 1e300", fine).status, 0);
  EXPECT_NE(scores("nan --timeout inf", fine).status, 0);
}

}  // namespace
}  // namespace e2e
