// Which tokens Clip-Cov and KL-Cov choose (that the result is verl's, verl_test.cpp says).
#include "grpo/sdk/algorithm/covariance.hpp"

#include <gmock/gmock.h>

#include <numeric>

#include "grpo/sdk/error.hpp"

namespace grpo::algorithm {
namespace {

using testing::ElementsAre;

// Means are 0, so that the covariance is the product: 2, 2, 2, 2, -8, 6, -6 and a masked one.
const std::vector<double> logprob = {-2, -2, 2, 2, 4, -2, -2, 99};
const std::vector<double> advantage = {-1, -1, 1, 1, -2, -3, 3, 99};
const std::vector<uint8_t> mask = {1, 1, 1, 1, 1, 1, 1, 0};

std::vector<double> centred(std::vector<double> values) {
  const double mean = std::accumulate(values.begin(), values.end() - 1, 0.0) / 7;
  for (double& value : values) value -= mean;
  return values;
}

TEST(Covariance, KlTakesTheLargestAndAtLeastOne) {
  ObjectiveOptions options = objective_options("kl_cov");
  const auto a = centred(advantage), l = centred(logprob);
  EXPECT_THAT(covariance_tokens(options, {l, {}, a, mask}), ElementsAre(0, 0, 0, 0, 0, 1, 0, 0));
  options.kl_cov_ratio = 1;
  EXPECT_THAT(covariance_tokens(options, {l, {}, a, mask}), ElementsAre(1, 1, 1, 1, 1, 1, 1, 0));
}

TEST(Covariance, ClipDrawsAmongThoseInItsRangeByTheKeyAlone) {
  ObjectiveOptions options = objective_options("clip_cov");
  options.clip_cov_ratio = 0.3;  // two of seven
  std::vector<int> times(8, 0);
  for (uint64_t key = 0; key < 200; ++key) {
    const CovarianceInput input = {logprob, logprob, advantage, mask, key};
    const auto chosen = covariance_tokens(options, input);
    EXPECT_EQ(std::accumulate(chosen.begin(), chosen.end(), 0), 2);
    EXPECT_EQ(covariance_tokens(options, input), chosen);
    for (size_t t = 0; t < 8; ++t) times[t] += chosen[t];
  }
  EXPECT_EQ(times[5] + times[4] + times[6] + times[7], 0);  // over the range, under it, masked
  for (size_t t = 0; t < 4; ++t) EXPECT_GT(times[t], 60) << t;
}

TEST(Covariance, WhatPpoClipsIsNotDrawn) {
  ObjectiveOptions options = objective_options("clip_cov");
  options.clip_cov_ratio = 1;
  std::vector<double> old = logprob;
  old[0] += 1;  // its ratio has fallen, and its advantage is negative: clipped
  EXPECT_THAT(covariance_tokens(options, {logprob, old, advantage, mask}), ElementsAre(0, 1, 1, 1, 0, 0, 0, 0));
  old[0] -= 2;  // it has risen: not clipped
  EXPECT_THAT(covariance_tokens(options, {logprob, old, advantage, mask}), ElementsAre(1, 1, 1, 1, 0, 0, 0, 0));
}

TEST(Covariance, NothingToChoose) {
  EXPECT_THAT(covariance_tokens(objective_options("dapo"), {logprob, {}, advantage, mask}), testing::Each(0));
  EXPECT_TRUE(covariance_tokens(objective_options("kl_cov"), {}).empty());
  EXPECT_THROW(covariance_tokens(objective_options("kl_cov"), {logprob, {}, {}, mask}), Error);
}

}  // namespace
}  // namespace grpo::algorithm
