// Rewards that go wrong: what is wrong is said, and no number comes of it.
#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/reward.hpp"

namespace grpo::plugins {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Scores : public testing::Test {
 protected:
  void SetUp() override {
    RegistrySettings settings;
    settings.probe_cache.clear();
    registry_ = Registry(settings);
    registry_.add_file(std::string(FAULTS) + "/fault_scores.so");
    const auto row = batch_.add_row({.prompt = "p"});
    for (const char* text : {"fine", "wrong", "fine"}) batch_.add_sample({.row = row, .completion = text});
  }
  RewardScores score(const std::string& name, const ScoreSettings& settings = {}) {
    return Reward(registry_, name, nullptr).score(batch_, settings);
  }
  // Sample 1 is an error that says `why`; the others have their score.
  void expect_one_wrong(const std::string& name, const std::string& why) {
    const RewardScores s = score(name);
    EXPECT_EQ(s.status, (std::vector<std::int32_t>{GRPO_SAMPLE_OK, GRPO_SAMPLE_ERROR, GRPO_SAMPLE_OK})) << name;
    EXPECT_EQ(s.score[0], 1);
    EXPECT_TRUE(std::isnan(s.score[1]));
    EXPECT_EQ(s.score[2], 1);
    EXPECT_THAT(s.message[1], HasSubstr(why));
    EXPECT_EQ(s.count(GRPO_SAMPLE_ERROR), 1);
  }
  Registry registry_;
  RewardBatch batch_;
};

TEST_F(Scores, OneSampleGoesWrong) {
  expect_one_wrong("nan", "plugin 'nan'");
  expect_one_wrong("nan", "without a score (NaN)");
  expect_one_wrong("infinite", "gave an infinite score");
  expect_one_wrong("status", "gave the sample the unknown status 77");
  expect_one_wrong("throws", "cannot read the answer: unbalanced brace");
}

TEST_F(Scores, TheWholeCallFails) {
  const RewardScores s = score("fails");
  EXPECT_EQ(s.count(GRPO_SAMPLE_ERROR), 3);
  EXPECT_TRUE(std::isnan(s.score[0])) << "a score of a call that failed was taken";
  EXPECT_THAT(s.message[2],
              AllOf(HasSubstr("plugin 'fails' ("),
                    HasSubstr("fault_scores.so): score: the judge does not answer: connection refused (failed)")));
}

TEST_F(Scores, ForgottenSamplesAreNoZeros) {
  const RewardScores s = score("forgets");
  EXPECT_EQ(s.count(GRPO_SAMPLE_ERROR), 3);
  EXPECT_TRUE(std::isnan(s.score[0]));
}

TEST_F(Scores, CancelledWithoutBeingAsked) { EXPECT_EQ(score("lies_about_cancel").count(GRPO_SAMPLE_ERROR), 3); }

TEST_F(Scores, WhatIsInBeforeTheDeadlineCounts) {
  const RewardScores s = score("slow", {.timeout = std::chrono::milliseconds(20)});
  EXPECT_EQ(s.status, (std::vector<std::int32_t>{GRPO_SAMPLE_OK, GRPO_SAMPLE_TIMEOUT, GRPO_SAMPLE_TIMEOUT}));
  EXPECT_EQ(s.score[0], 0.5);
  EXPECT_THAT(s.message[1], HasSubstr("not reached in time"));
}

TEST_F(Scores, CancelFromOutside) {
  const std::atomic<bool> stop{true};
  const RewardScores s = score("slow", {.cancel = &stop});
  EXPECT_EQ(s.count(GRPO_SAMPLE_TIMEOUT), 2);
}

TEST_F(Scores, OptionsAreRefusedBeforeThePluginSeesThem) {
  const auto open = [this](const nlohmann::json& options) {
    try {
      Reward(registry_, "cannot_open", options, {.where = "rewards.answers"});
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("it was opened");
  };
  EXPECT_THAT(open({{"pth", "x"}}), AllOf(HasSubstr("rewards.answers.pth: no such option; did you mean 'path'?"),
                                          HasSubstr("known: depth, mode, path")));
  EXPECT_EQ(open(nullptr), "rewards.answers.path: required, and not given (a string: the file of answers)");
  EXPECT_EQ(open({{"path", 3}}), "rewards.answers.path: 3 is not a string");
  EXPECT_EQ(open({{"path", "x"}, {"mode", "strct"}}),
            "rewards.answers.mode: \"strct\" is none of \"strict\", \"loose\"; did you mean \"strict\"?");
  EXPECT_EQ(open({{"path", "x"}, {"depth", 9}}), "rewards.answers.depth: 9 is over the maximum 8");
  // What open itself says carries the plugin, the file and the function.
  EXPECT_THAT(
      open({{"path", "answers.json is empty"}}),
      AllOf(HasSubstr("plugin 'cannot_open' ("), HasSubstr("fault_scores.so): open: answers.json is empty (failed)")));
}

}  // namespace
}  // namespace grpo::plugins
