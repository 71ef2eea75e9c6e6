#include "grpo/sdk/algorithm/advantages.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "golden.hpp"
#include "grpo/sdk/error.hpp"

namespace grpo::algorithm {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::Pointwise;

constexpr double none = std::numeric_limits<double>::quiet_NaN();

TEST(Advantages, AreThoseOfTrl) {
  for (const auto& row : golden("advantages")) {
    const auto size = row.at("num_generations").get<int64_t>();
    std::vector<double> rewards;
    for (const auto& reward : row.at("rewards")) rewards.push_back(reward.is_null() ? none : reward.get<double>());
    std::vector<int64_t> groups;
    for (int64_t at = 0; at <= static_cast<int64_t>(rewards.size()); at += size) groups.push_back(at);
    const AdvantageKind kind = advantage_kind(row.at("scale_rewards").get<std::string>());
    AdvantageStatistics statistics;
    // Equal rewards are exactly 0 here; in TRL the mean's rounding over the epsilon leaves up to 1e-12.
    EXPECT_THAT(advantages(kind, rewards, groups, 1e-4, &statistics),
                Pointwise(DoubleNear(2e-12), row.at("advantages").get<std::vector<double>>()))
        << row;
    if (kind != AdvantageKind::batch) {  // TRL looks at the batch's deviation there
      EXPECT_NEAR(statistics.frac_reward_zero_std, row.at("frac_reward_zero_std").get<double>(), 1e-15) << row;
    }
  }
}

TEST(Advantages, Corners) {
  AdvantageStatistics statistics;
  const std::vector<double> rewards = {0.7, 0.1, 0.1, 0.1, none, 2.0, none, none, 1.0, 3.0};
  const std::vector<int64_t> groups = {0, 1, 4, 6, 8, 10};
  EXPECT_THAT(
      advantages(AdvantageKind::group, rewards, groups, 0.0, &statistics),
      ElementsAre(0.7, 0, 0, 0, 0, 0, 0, 0, DoubleNear(-std::sqrt(0.5), 1e-15), DoubleNear(std::sqrt(0.5), 1e-15)));
  EXPECT_EQ(statistics.zero_std_groups, 1);
  EXPECT_EQ(statistics.frac_reward_zero_std, 0.3);
  EXPECT_EQ(statistics.not_applicable, 3);
  EXPECT_NEAR(statistics.reward_mean, 1.0, 1e-15);
  EXPECT_THAT(advantages(AdvantageKind::none, rewards, groups), ElementsAre(0.7, 0, 0, 0, 0, 0, 0, 0, -1, 1));
}

TEST(Advantages, OfSeveralRewardsAreThoseOfTrl) {
  int compared = 0;
  for (const auto& row : golden("advantages_gdpo")) {
    const auto size = row.at("num_generations").get<int64_t>();
    const auto weights = row.at("weights").get<std::vector<double>>();
    std::vector<double> scores, rewards;
    std::vector<int64_t> groups = {0};
    for (const auto& of_sample : row.at("scores")) {
      double sum = none;
      for (size_t k = 0; k < weights.size(); ++k) {
        scores.push_back(of_sample[k].is_null() ? none : of_sample[k].get<double>());
        if (!of_sample[k].is_null()) sum = (std::isnan(sum) ? 0 : sum) + weights[k] * scores.back();
      }
      rewards.push_back(sum);
    }
    while (groups.back() < static_cast<int64_t>(rewards.size())) groups.push_back(groups.back() + size);
    const AdvantageInput input = {
        .rewards = rewards, .group_start = groups, .epsilon = 1e-4, .tokens = {}, .scores = scores, .weights = weights};
    EXPECT_THAT(advantages(AdvantageKind::gdpo, input),
                Pointwise(DoubleNear(1e-9), row.at("advantages").get<std::vector<double>>()))
        << row;
    ++compared;
  }
  EXPECT_EQ(compared, 12);
}

TEST(Advantages, OnlyTheBestOfAGroupCountsForPassk) {
  const std::vector<double> rewards = {1, 4, none, 2, 3, 3, 1, none, 5};
  const std::vector<int64_t> groups = {0, 4, 6, 8, 9};
  const double std = std::sqrt(7.0 / 3);
  EXPECT_THAT(advantages(AdvantageKind::passk, rewards, groups, 0.0),
              ElementsAre(0, DoubleNear(2 / std, 1e-15), 0, 0, 0, 0, 0, 0, 0));
}

// The others' mean, written out.
TEST(Advantages, RlooLeavesTheSampleItselfOut) {
  const std::vector<double> rewards = {1, 4, none, 2, 7};
  EXPECT_THAT(advantages(AdvantageKind::rloo, rewards, std::vector<int64_t>{0, 4, 5}),
              ElementsAre(DoubleNear(1 - 3, 1e-15), DoubleNear(4 - 1.5, 1e-15), 0, DoubleNear(2 - 2.5, 1e-15), 7));
}

TEST(Advantages, TokenReturnsComeFromTheEnd) {
  // Reward 8 after 3 tokens, 0 after 1, none after 2; the first token is penalised; gamma 1/2.
  const auto out = reinforce_pp_advantages(std::vector<double>{8, 0, none}, std::vector<int64_t>{0, 3, 4, 6},
                                           std::vector<double>{1, 0, 0, 0, 9, 9}, 0.5);
  const std::vector<double> returns = {1, 4, 8, 0};  // mean 3.25, squares 5.0625 + 0.5625 + 22.5625 + 10.5625
  const double scale = 1 / std::sqrt(38.75 / 3 + 1e-8);
  for (size_t t = 0; t < 4; ++t) EXPECT_NEAR(out[t], (returns[t] - 3.25) * scale, 1e-14);
  EXPECT_EQ(out[4], 0);
  EXPECT_EQ(out[5], 0);
}

TEST(Advantages, GroupsOfUnequalSizeAndLargeOffsets) {
  const std::vector<double> rewards = {1e9, 1e9 + 1, 1e9, 1e9 + 1, 5};
  const auto out = advantages(AdvantageKind::group, rewards, std::vector<int64_t>{0, 2, 4, 5}, 0.0);
  EXPECT_THAT(out, ElementsAre(DoubleNear(-std::sqrt(0.5), 1e-12), DoubleNear(std::sqrt(0.5), 1e-12),
                               DoubleNear(-std::sqrt(0.5), 1e-12), DoubleNear(std::sqrt(0.5), 1e-12), 5));
}

TEST(Advantages, PermutingGroupsPermutesTheResult) {
  const std::vector<double> ab = {1, 2, 4, 0, 0, 5}, ba = {0, 0, 5, 1, 2, 4};
  const std::vector<int64_t> groups = {0, 3, 6};
  const std::vector<double> tokens = {3, 1, 2, 5, 4, 9}, turned = {5, 4, 9, 3, 1, 2}, one = {1.0};
  for (AdvantageKind kind : {AdvantageKind::group, AdvantageKind::none, AdvantageKind::batch, AdvantageKind::rloo,
                             AdvantageKind::opo, AdvantageKind::passk, AdvantageKind::gdpo, AdvantageKind::reinforce_pp,
                             AdvantageKind::reinforce_pp_baseline, AdvantageKind::gpg}) {
    const auto of = [&](const std::vector<double>& rewards, const std::vector<double>& counts) {
      return advantages(kind, {.rewards = rewards,
                               .group_start = groups,
                               .epsilon = 1e-4,
                               .tokens = counts,
                               .scores = rewards,
                               .weights = one});
    };
    auto first = of(ab, tokens);
    std::rotate(first.begin(), first.begin() + 3, first.end());
    EXPECT_THAT(of(ba, turned), Pointwise(DoubleNear(1e-14), first)) << name(kind);
    EXPECT_GT(*std::max_element(first.begin(), first.end()), 0.1) << name(kind);
  }
}

TEST(Advantages, BadInputIsRefusedByName) {
  const auto refused = [](std::vector<double> rewards, std::vector<int64_t> groups, double epsilon) -> std::string {
    try {
      advantages(AdvantageKind::group, rewards, groups, epsilon);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refused({0, INFINITY}, {0, 2}, 0), testing::HasSubstr("sample 1 is infinite"));
  EXPECT_THAT(refused({0, 1}, {0, 1}, 0), testing::HasSubstr("number of samples, 2"));
  EXPECT_THAT(refused({0, 1}, {0, 2, 2}, 0), testing::HasSubstr("group 1 is empty"));
  EXPECT_THAT(refused({0, 1}, {0, 2}, -1), testing::HasSubstr("epsilon is -1"));
  EXPECT_THROW(advantage_kind("gruop"), Error);
  EXPECT_EQ(advantage_kind("reinforce_plus_plus_baseline"), AdvantageKind::reinforce_pp_baseline);
  EXPECT_THROW(advantages(AdvantageKind::gdpo, std::vector<double>{1, 2}, std::vector<int64_t>{0, 2}), Error);
  EXPECT_THROW(reinforce_pp_advantages(std::vector<double>{1}, std::vector<int64_t>{0, 2}, std::vector<double>{1}, 1),
               Error);
  EXPECT_EQ(name(AdvantageKind::none), "none");
}

}  // namespace
}  // namespace grpo::algorithm
