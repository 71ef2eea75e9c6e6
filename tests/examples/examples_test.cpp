// The examples, built against the installed package, loaded and used.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "examples.hpp"
#include "grpo/sdk/plugins/reward.hpp"

namespace grpo::plugins {
namespace {

TEST(Examples, AllAreFound) {
  const Registry registry = examples();
  EXPECT_TRUE(registry.refusals().empty());
  EXPECT_EQ(registry.names("grpo.reward/1"), (std::vector<std::string>{"boxed", "brevity", "word_limit"}));
  EXPECT_EQ(registry.names("grpo.optimizer/1"), std::vector<std::string>{"lion"});
  EXPECT_EQ(registry.names("grpo.sampler/1"), std::vector<std::string>{"plain"});
  EXPECT_EQ(registry.names("grpo.model/1"), std::vector<std::string>{"bigram"});
}

TEST(Examples, RewardInC) {
  Registry registry = examples();
  Reward brevity(registry, "brevity", {{"words", 2}, {"slope", 0.25}});
  RewardBatch batch;
  const auto row = batch.add_row({.prompt = "Say it shortly."});
  for (const char* text : {"", "  two words ", "one two three", "a b c d e f g h i"})
    batch.add_sample({.row = row, .completion = text});
  const RewardScores s = brevity.score(batch);
  EXPECT_EQ(s.score, (std::vector<double>{1, 1, 0.75, 0}));
  EXPECT_EQ(s.components.at("words"), (std::vector<double>{0, 2, 3, 9}));
}

TEST(Examples, RewardInCpp) {
  Registry registry = examples();
  Reward boxed(registry, "boxed", {{"wrong", -0.25}});
  RewardBatch batch;
  const auto known = batch.add_row({.ground_truth = "42"}), unknown = batch.add_row({});
  for (const char* text : {"\\boxed{1} no, \\boxed{42}", "\\boxed{41}", "no"})
    batch.add_sample({.row = known, .completion = text});
  batch.add_sample({.row = unknown, .completion = "\\boxed{42}"});
  const RewardScores s = boxed.score(batch);
  EXPECT_EQ(s.score[0], 1);
  EXPECT_EQ(s.score[1], -0.25);
  EXPECT_EQ(s.score[2], -1);
  EXPECT_EQ(s.status[3], GRPO_SAMPLE_NOT_APPLICABLE);
  EXPECT_TRUE(std::isnan(s.score[3]));
}

TEST(Examples, RewardOfTheWalkThroughReadsAColumn) {
  Registry registry = examples();
  Reward word_limit(registry, "word_limit", {{"slope", 0.25}});
  const nlohmann::json two = {{"max_words", 2}};
  RewardBatch batch;
  const auto limited = batch.add_row({.columns = &two});
  for (const char* text : {"", "two words", "one two three"}) batch.add_sample({.row = limited, .completion = text});
  const RewardScores s = word_limit.score(batch);
  EXPECT_EQ(s.score, (std::vector<double>{0, 1, 0.75}));
  EXPECT_EQ(s.components.at("words"), (std::vector<double>{0, 2, 3}));
}

}  // namespace
}  // namespace grpo::plugins
