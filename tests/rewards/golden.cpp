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

}  // namespace
