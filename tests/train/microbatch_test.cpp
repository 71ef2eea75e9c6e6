#include "grpo/sdk/train/microbatch.hpp"

#include <gtest/gtest.h>

#include "support.hpp"

namespace grpo::train {
namespace {

std::vector<Group*> pointers(std::vector<Group>& groups) {
  std::vector<Group*> all;
  for (Group& g : groups) all.push_back(&g);
  return all;
}

TEST(MicroBatch, WithoutABudgetAllIsOneAndEachPromptCostsOnce) {
  std::vector<Group> groups = {group_of({"aaaa", "bb"}), group_of({"c"}, 5)};
  const auto batches = cut_into_microbatches(pointers(groups), 0);
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_EQ(batches[0].tokens, 3 + 4 + 2 + 5 + 1);
  EXPECT_EQ(batches[0].targets, 7);
  EXPECT_EQ(batches[0].forest().n_tokens(), batches[0].tokens);
}

TEST(MicroBatch, AGroupThatDoesNotFitIsCutAndItsPromptRepeated) {
  std::vector<Group> groups = {group_of({"aaaa", "bbbb", "cccc"})};
  const auto batches = cut_into_microbatches(pointers(groups), 11);  // 3 + 4 + 4
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_EQ(batches[0].tokens, 11);
  EXPECT_EQ(batches[1].tokens, 7);
  EXPECT_EQ(batches[1].parts[0].prompt, &groups[0].prompt);
}

TEST(MicroBatch, KeepsToTheBudgetAndToTheOrderForEveryBudget) {
  std::vector<Group> groups = {group_of({"aaaa", "", "bb"}), group_of({"", ""}), group_of({"ccccccc", "d", "ee"}, 1)};
  std::vector<std::int32_t> expected;
  for (const Group& g : groups)
    for (const Sample& s : g.samples) expected.insert(expected.end(), s.ids.begin(), s.ids.end());
  for (std::int64_t budget = 1; budget < 30; ++budget) {
    std::vector<std::int32_t> seen;
    for (const MicroBatch& batch : cut_into_microbatches(pointers(groups), budget)) {
      const auto samples = batch.samples();
      EXPECT_TRUE(batch.tokens <= budget || samples.size() == 1) << budget;  // a single one may be longer
      const auto forest = batch.forest();
      const auto tokens = forest.target_token();
      seen.insert(seen.end(), tokens.begin(), tokens.end());
      EXPECT_EQ(forest.n_tokens(), batch.tokens);
      EXPECT_EQ(forest.n_targets(), batch.targets);
      const auto start = batch.starts();
      ASSERT_EQ(start.size(), samples.size() + 1);
      EXPECT_EQ(start.back(), batch.targets);
      for (const Sample* s : samples) EXPECT_FALSE(s->ids.empty());
    }
    EXPECT_EQ(seen, expected) << budget;
  }
}

TEST(MicroBatch, NothingButEmptyCompletionsIsNoBatch) {
  std::vector<Group> groups = {group_of({"", ""})};
  EXPECT_TRUE(cut_into_microbatches(pointers(groups), 8).empty());
}

}  // namespace
}  // namespace grpo::train
