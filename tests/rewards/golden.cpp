// The scores of the Python functions that people know these rewards from (tests/golden/make/rewards.py).
#include <gtest/gtest.h>

#include <fstream>

#include "host.hpp"

namespace {
using nlohmann::json;
using rewards_test::Reward;
using rewards_test::Sample;

TEST(Golden, ScoresOfThePythonFunctions) {
  std::ifstream file(GRPO_TEST_DATA "/golden.json");
  const json golden = json::parse(file);
  std::size_t compared = 0, not_zero = 0;
  for (const auto& row : golden["rewards"]) {
    const Reward reward(row["library"], row["options"], row["component"]);
    std::vector<Sample> samples;
    for (const std::size_t i : row["samples"]) {
      const auto& s = golden["samples"][i];
      // The harness counts `tokens` where there are no ids: an empty completion has neither.
      samples.push_back({s["completion"], s["truth"], 0, s["ids"]});
    }
    const auto scored = reward.score(samples);
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const double expected = row["scores"][i];
      ASSERT_EQ(scored[i].status, GRPO_SAMPLE_OK);
      // Cosines of two libraries may differ in the last bit; all else is the same arithmetic.
      if (row["options"].value("form", "") == "cosine") {
        EXPECT_NEAR(scored[i].score, expected, 1e-14) << row["options"] << samples[i].completion;
      } else {
        EXPECT_EQ(scored[i].score, expected) << row["component"] << row["options"] << "\n"
                                             << json(samples[i].completion);
      }
      ++compared;
      not_zero += expected != 0;
    }
  }
  EXPECT_GE(compared, 4000u);
  EXPECT_GE(not_zero, compared / 4);
}

// Open-R1's own len_reward (tests/golden/make/open_r1.py), which counts characters.
TEST(Golden, LengthInAGroupIsOpenR1s) {
  std::ifstream file(GRPO_TEST_DATA "/length_in_group.json");
  const Reward reward("reward_length", {{"unit", "characters"}}, "length_in_group");
  int compared = 0, above = 0, below = 0;
  for (const auto& group : json::parse(file)) {
    std::vector<Sample> samples;
    for (const auto& text : group["completions"]) samples.push_back({text, group["solution"]});
    const auto scored = reward.score_group(samples);
    for (std::size_t i = 0; i < samples.size(); ++i, ++compared) {
      EXPECT_EQ(scored[i].score, group["scores"][i]) << group;
      above += scored[i].score > 0, below += scored[i].score < 0;
    }
  }
  EXPECT_EQ(compared, 60);
  EXPECT_GT(above, 5);
  EXPECT_GT(below, 15);
}

}  // namespace
