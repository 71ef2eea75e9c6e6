#include "grpo/sdk/train/scoring.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <thread>

#include "grpo/sdk/plugins/left_behind.hpp"
#include "support.hpp"

namespace grpo::train {
namespace {

struct Wanted {
  std::string plugin;
  double weight = 1, timeout = 0;
  bool isolated = false;
};

std::unique_ptr<Scorer> scorer_of(const std::vector<Wanted>& wanted, int threads = 2,
                                  OnRewardError on_error = OnRewardError::drop_sample) {
  auto registry = test_registry();
  std::vector<WeightedReward> rewards;
  for (const Wanted& w : wanted)
    rewards.push_back({w.plugin, w.weight, w.timeout,
                       std::make_unique<plugins::Reward>(registry, w.plugin, nlohmann::json::object()), w.isolated});
  return std::make_unique<Scorer>(std::move(rewards), plugins::ColumnTypes{}, on_error, threads);
}

ScoreReport score(Scorer& scorer, std::vector<Group>& groups) {
  scorer.begin(1);
  for (Group& g : groups) scorer.add(g);
  return scorer.finish();
}

TEST(Scoring, TheRewardIsTheWeightedSumAndAWholeBatchRewardSeesEverything) {
  const auto scorer = scorer_of({{"moody", 2}, {"whole", 0.5}});
  std::vector<Group> groups = {group_of({"abc", "x"}), group_of({"yy"})};
  for (int step = 0; step < 3; ++step) {  // nothing is left over from the step before
    const auto report = score(*scorer, groups);
    EXPECT_DOUBLE_EQ(groups[0].samples[0].reward, 2 * 3 + 0.5 * 3);
    EXPECT_DOUBLE_EQ(groups[1].samples[0].reward, 2 * 2 + 0.5 * 3);
    EXPECT_DOUBLE_EQ(report.metrics.get("rewards/moody/mean"), 2);
    EXPECT_DOUBLE_EQ(report.metrics.get("rewards/moody/max"), 3);
    EXPECT_DOUBLE_EQ(report.metrics.get("rewards/moody/component/mean"), 7);  // does not hide the host's own
    EXPECT_TRUE(report.errors.empty());
  }
}

TEST(Scoring, ASampleThatFailsHasNoRewardEvenWhenAnotherScoresIt) {
  const auto scorer = scorer_of({{"moody"}, {"whole"}});
  std::vector<Group> groups = {group_of({"error", "nan", "na", "abcd"})};
  groups[0].prompt.row = 17;
  const auto report = score(*scorer, groups);
  const auto& s = groups[0].samples;
  EXPECT_TRUE(std::isnan(s[0].reward));
  EXPECT_TRUE(std::isnan(s[1].reward));
  EXPECT_DOUBLE_EQ(s[2].reward, 4);  // not applicable: the other reward alone
  EXPECT_DOUBLE_EQ(s[3].reward, 4 + 4);
  EXPECT_EQ(report.metrics.get("rewards/moody/errors"), 2);
  EXPECT_EQ(report.metrics.get("rewards/moody/na"), 1);
  EXPECT_DOUBLE_EQ(report.metrics.get("rewards/moody/mean"), 4);
  ASSERT_EQ(report.errors.size(), 2u);
  EXPECT_NE(report.errors[0].find("a bad sample"), std::string::npos) << report.errors[0];
  EXPECT_NE(report.errors[0].find("row 17"), std::string::npos) << report.errors[0];
}

TEST(Scoring, AFailureCanCostTheGroupAndEachRewardMaySayWhatItCosts) {
  const auto rewards = [](OnRewardError all, std::optional<OnRewardError> own) {
    auto registry = test_registry();
    std::vector<WeightedReward> list;
    list.push_back({.name = "moody",
                    .reward = std::make_shared<plugins::Reward>(registry, "moody", nlohmann::json::object()),
                    .on_error = own});
    Scorer scorer(std::move(list), plugins::ColumnTypes{}, all, 1);
    std::vector<Group> groups = {group_of({"error", "ab"}), group_of({"na", "abc"})};
    score(scorer, groups);
    return std::vector<double>{groups[0].samples[0].reward, groups[0].samples[1].reward, groups[1].samples[1].reward};
  };
  using enum OnRewardError;
  auto r = rewards(drop_sample, {});
  EXPECT_TRUE(std::isnan(r[0]) && r[1] == 2 && r[2] == 3);
  for (const auto& [all, own] : {std::pair{drop_group, std::optional<OnRewardError>()}, {stop, drop_group}}) {
    r = rewards(all, own);
    EXPECT_TRUE(std::isnan(r[0]) && std::isnan(r[1]) && r[2] == 3);  // the other group has not failed
  }
  EXPECT_NE(error_of([&] { rewards(drop_group, stop); }).find("a bad sample"), std::string::npos);
}

TEST(Scoring, ARewardOfWeightZeroIsMeasuredAndNothingElse) {
  const auto scorer = scorer_of({{"moody"}, {"whole", 0}});
  std::vector<Group> groups = {group_of({"na", "ab"})};
  const auto report = score(*scorer, groups);
  EXPECT_TRUE(std::isnan(groups[0].samples[0].reward));
  EXPECT_DOUBLE_EQ(groups[0].samples[1].reward, 2);
  EXPECT_DOUBLE_EQ(report.metrics.get("rewards/whole/mean"), 2);
  const auto measured = scorer_of({{"moody", 0}, {"whole"}});
  std::vector<Group> failing = {group_of({"error"})};
  score(*measured, failing);
  EXPECT_DOUBLE_EQ(failing[0].samples[0].reward, 1);
}

TEST(Scoring, WithoutAScoreTheMeanIsNotZeroButUnknown) {
  const auto scorer = scorer_of({{"moody"}});
  std::vector<Group> groups = {group_of({"na", "na"})};
  EXPECT_TRUE(std::isnan(*score(*scorer, groups).metrics.find("rewards/moody/mean")));
}

TEST(Scoring, ATimeoutAndAFailingCallAreCountedAsSuch) {
  const auto scorer = scorer_of({{"moody", 1, 0.05}});
  std::vector<Group> groups = {group_of({"ab", "slow"}), group_of({"fail", "xyz"}), group_of({"fine"})};
  const auto report = score(*scorer, groups);
  EXPECT_DOUBLE_EQ(groups[0].samples[0].reward, 2);
  EXPECT_TRUE(std::isnan(groups[0].samples[1].reward));
  EXPECT_TRUE(std::isnan(groups[1].samples[1].reward));
  EXPECT_DOUBLE_EQ(groups[2].samples[0].reward, 4);
  EXPECT_EQ(report.metrics.get("rewards/moody/timeouts"), 1);
  EXPECT_EQ(report.metrics.get("rewards/moody/errors"), 2);
}

TEST(Scoring, ACallThatDoesNotComeBackIsNamedWhileTheStepWaits) {
  testing::internal::CaptureStderr();
  std::vector<Group> groups = {group_of({"deaf", "ab"})};
  score(*scorer_of({{"moody", 1, 0.05}}), groups);
  const std::string text = testing::internal::GetCapturedStderr();
  for (const char* part : {"reward 'moody' has not come back 1", "after its limit of 0.05 s, and the step waits for it",
                           "`isolate: true` would end it", "reward 'moody' came back "})
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in " << text;
  EXPECT_DOUBLE_EQ(groups[0].samples[1].reward, 2);
}

// `stuck` never comes back; what takes its place is another one here, in a run the same in a process of its own.
std::unique_ptr<Scorer> scorer_that_hangs(bool reopens) {
  std::vector<WeightedReward> rewards(1);
  auto registry = test_registry();
  rewards[0].name = "stuck";
  rewards[0].timeout_seconds = rewards[0].grace_seconds = 0.05;
  rewards[0].reward = std::make_shared<plugins::Reward>(registry, "stuck", nlohmann::json::object());
  if (reopens)
    rewards[0].reopen = [other = registry.load(GRPO_REWARD_ID, "moody")] {
      return std::make_shared<plugins::Reward>(other, nlohmann::json::object());
    };
  return std::make_unique<Scorer>(std::move(rewards), plugins::ColumnTypes{}, OnRewardError::drop_sample, 2);
}

TEST(Scoring, ACallThatHangsIsLeftBehindAndTheRewardGoesOn) {
  testing::internal::CaptureStderr();
  const int before = plugins::calls_left_behind();
  auto scorer = scorer_that_hangs(/*reopens=*/true);
  auto groups = std::make_unique<std::vector<Group>>();
  for (const char* text : {"a", "bb", "ccc"}) groups->push_back(group_of({text}));
  const auto report = score(*scorer, *groups);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(plugins::calls_left_behind(), before + 1) << "called again, though it hangs";
  EXPECT_EQ(report.metrics.get("rewards/stuck/timeouts"), 1);
  EXPECT_EQ(report.metrics.get("rewards/stuck/errors"), 0);
  EXPECT_TRUE(std::isnan(groups->at(0).samples[0].reward));
  EXPECT_DOUBLE_EQ(groups->at(1).samples[0].reward, 2);
  EXPECT_DOUBLE_EQ(groups->at(2).samples[0].reward, 3);
  EXPECT_NE(log.find("reward 'stuck' has not come back 0.05 s after its limit of 0.05 s: the call is left behind"),
            std::string::npos)
      << log;
  EXPECT_NE(log.find("process of its own"), std::string::npos) << log;
  groups.reset();  // the call that hangs has no part in them, nor in the scorer
  scorer.reset();
}

TEST(Scoring, WithoutAnotherHandleARewardThatHangsEndsTheRun) {
  testing::internal::CaptureStderr();
  const auto scorer = scorer_that_hangs(/*reopens=*/false);
  std::vector<Group> groups = {group_of({"a"}), group_of({"bb"})};
  EXPECT_THROW(score(*scorer, groups), RewardLost);
  testing::internal::GetCapturedStderr();
}

TEST(Scoring, StopEndsTheRunWithTheRewardsMessage) {
  const auto scorer = scorer_of({{"moody"}}, 1, OnRewardError::stop);
  std::vector<Group> groups = {group_of({"error"})};
  const auto text = error_of([&] { score(*scorer, groups); });
  EXPECT_NE(text.find("a bad sample"), std::string::npos) << text;
  EXPECT_NE(text.find("drop_sample"), std::string::npos) << text;
  std::vector<Group> good = {group_of({"na", "ab"})};
  EXPECT_NO_THROW(score(*scorer, good));  // not applicable is no failure
}

TEST(Scoring, ManyGroupsOverManyThreads) {
  const auto scorer = scorer_of({{"moody"}, {"whole"}}, 4);
  std::vector<Group> groups;
  for (int i = 0; i < 200; ++i) groups.push_back(group_of({"a", "bb", "ccc"}));
  score(*scorer, groups);
  for (const Group& g : groups)
    for (const Sample& s : g.samples) ASSERT_DOUBLE_EQ(s.reward, static_cast<double>(s.ids.size()) + 600);
}

TEST(Scoring, ColumnsOfAnotherDatasetNeedNotHaveTheTypesOfTheFirst) {
  auto registry = test_registry();
  std::vector<WeightedReward> rewards;
  rewards.push_back(
      {"moody", 1, 0, std::make_unique<plugins::Reward>(registry, "moody", nlohmann::json::object()), false});
  Scorer scorer(std::move(rewards), {{"prompt", GRPO_COLUMN_INTEGER}}, OnRewardError::drop_sample, 1);
  std::vector<Group> groups = {group_of({"abc"})};  // its column `prompt` is a text
  score(scorer, groups);
  EXPECT_TRUE(std::isnan(groups[0].samples[0].reward));
  const plugins::ColumnTypes own = {{"prompt", GRPO_COLUMN_TEXT}};
  scorer.begin(0, &own);
  scorer.add(groups[0]);
  scorer.finish();
  EXPECT_DOUBLE_EQ(groups[0].samples[0].reward, 3);
}

plugins::RewardBatch batch_of_one(const std::string& completion) {
  plugins::RewardBatch batch;
  batch.add_sample({.row = batch.add_row({.prompt = "p"}), .completion = completion});
  return batch;
}

// Callers that wait for the one whose call hangs get the other handle, and have not hung themselves.
TEST(LeavableReward, GoesOnInAnotherHandleForAllItsCallers) {
  auto registry = test_registry();
  const auto open = [&](const char* name) {
    return std::make_shared<plugins::Reward>(registry, name, nlohmann::json::object());
  };
  std::atomic<int> opened{0}, told{0}, timeouts{0}, scored{0};
  plugins::LeavableReward reward(open("stuck"), {.reopen =
                                                     [&] {
                                                       ++opened;
                                                       return open("moody");
                                                     },
                                                 .warn = [&](const std::string&) { ++told; },
                                                 .grace = std::chrono::milliseconds(20)});
  const int before = plugins::calls_left_behind();
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i)
    callers.emplace_back([&] {
      const auto scores = reward.score(batch_of_one("abc"), {.timeout = std::chrono::milliseconds(20)});
      timeouts += scores.status.at(0) == GRPO_SAMPLE_TIMEOUT;
      scored += scores.score.at(0) == 3;
    });
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(timeouts, 1);
  EXPECT_EQ(scored, 3);
  EXPECT_EQ(opened, 1);
  EXPECT_EQ(told, 1);
  EXPECT_EQ(plugins::calls_left_behind(), before + 1);
  EXPECT_EQ(reward.handle()->name(), "moody");
}

TEST(LeavableReward, WithoutAnotherHandleEverySampleAfterItSaysWhy) {
  auto registry = test_registry();
  std::string told;
  plugins::LeavableReward reward(
      std::make_shared<plugins::Reward>(registry, "stuck", nlohmann::json::object()),
      {.reopen = []() -> std::shared_ptr<plugins::Reward> { throw Error("no such program"); },
       .warn = [&](const std::string& text) { told += text; },
       .grace = std::chrono::milliseconds(20)});
  const plugins::ScoreSettings limit{.timeout = std::chrono::milliseconds(20)};
  const auto first = reward.score(batch_of_one("abc"), limit), second = reward.score(batch_of_one("abc"), limit);
  EXPECT_EQ(first.status.at(0), GRPO_SAMPLE_TIMEOUT);
  EXPECT_EQ(first.message.at(0), "stuck: did not come back 0.02 s after the limit of 0.02 s, and was left behind");
  EXPECT_EQ(second.status.at(0), GRPO_SAMPLE_ERROR);
  EXPECT_TRUE(std::isnan(second.score.at(0)));
  EXPECT_EQ(second.message.at(0), told);
  EXPECT_NE(told.find("it does not open: no such program"), std::string::npos) << told;
}

}  // namespace
}  // namespace grpo::train
