#include "grpo/sdk/algorithm/weights.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "grpo/sdk/error.hpp"

namespace grpo::algorithm {
namespace {

using testing::DoubleEq;
using testing::DoubleNear;
using testing::ElementsAre;

const std::vector<int64_t> start = {0, 2, 2, 4};
const std::vector<double> old_logprob = {-1, -1, -1, -1};
const std::vector<double> sampled = {-1 - std::log(4), -1 - std::log(0.5), std::nan(""), -1 + std::log(10)};
const std::vector<uint8_t> all = {1, 1, 1, 1};

TEST(Weights, RolloutRatioByKind) {
  const auto ratio = [](RolloutCorrection kind) {
    return rollout_ratio(kind, 0.25, 3.0, start, old_logprob, sampled, all);
  };
  EXPECT_THAT(ratio(RolloutCorrection::token_truncate), ElementsAre(3, DoubleNear(0.5, 1e-15), 1, 0.25));
  EXPECT_THAT(ratio(RolloutCorrection::token_mask), ElementsAre(0, DoubleNear(0.5, 1e-15), 1, 0));
  const auto two = DoubleNear(2, 1e-14);
  EXPECT_THAT(ratio(RolloutCorrection::sequence_truncate), ElementsAre(two, two, 0.25, 0.25));
  EXPECT_THAT(ratio(RolloutCorrection::sequence_mask), ElementsAre(two, two, 0, 0));
  EXPECT_EQ(rollout_correction("token"), RolloutCorrection::token_truncate);
  EXPECT_THROW(rollout_correction("tokens"), Error);
  EXPECT_THROW(rollout_ratio(RolloutCorrection::token_mask, 2, 1, start, old_logprob, sampled, all), Error);
}

TEST(Weights, OffPolicyMaskDropsOnlyNegativeRows) {
  const std::vector<double> now = {-3, -3, -3, -3}, then = {-1, -1, -1, -1};
  const std::vector<double> advantage = {-1, -1, 1};
  EXPECT_THAT(off_policy_mask(1.9, start, now, then, advantage, all), ElementsAre(0, 0, 1, 1));
  EXPECT_THAT(off_policy_mask(2.1, start, now, then, advantage, all), ElementsAre(1, 1, 1, 1));
}

TEST(Weights, EntropyQuantileInterpolatesOverMaskedTokens) {
  const std::vector<double> entropy = {4, 9, 1, 2, 3};
  const std::vector<uint8_t> mask = {1, 0, 1, 1, 1};
  EXPECT_EQ(entropy_quantile(entropy, mask, 0), 1);
  EXPECT_EQ(entropy_quantile(entropy, mask, 1), 4);
  EXPECT_THAT(entropy_quantile(entropy, mask, 0.5), DoubleEq(2.5));
  EXPECT_THAT(top_entropy_mask(entropy, mask, 3), ElementsAre(1, 0, 0, 0, 1));
  EXPECT_TRUE(std::isnan(entropy_quantile(entropy, std::vector<uint8_t>(5, 0), 0.5)));
  // 1 - 0.7 is a hair over 0.3: the fourth of eleven must still be the threshold itself.
  std::vector<double> eleven;
  for (int i = 0; i < 11; ++i) eleven.push_back(i);
  EXPECT_EQ(entropy_quantile(eleven, {}, 1 - 0.7), 3);
}

}  // namespace
}  // namespace grpo::algorithm
