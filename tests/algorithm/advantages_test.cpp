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

TEST(Advantages, GroupsOfUnequalSizeAndLargeOffsets) {
  const std::vector<double> rewards = {1e9, 1e9 + 1, 1e9, 1e9 + 1, 5};
  const auto out = advantages(AdvantageKind::group, rewards, std::vector<int64_t>{0, 2, 4, 5}, 0.0);
  EXPECT_THAT(out, ElementsAre(DoubleNear(-std::sqrt(0.5), 1e-12), DoubleNear(std::sqrt(0.5), 1e-12),
                               DoubleNear(-std::sqrt(0.5), 1e-12), DoubleNear(std::sqrt(0.5), 1e-12), 5));
}

TEST(Advantages, PermutingGroupsPermutesTheResult) {
  const std::vector<double> ab = {1, 2, 4, 0, 0, 5}, ba = {0, 0, 5, 1, 2, 4};
  const std::vector<int64_t> groups = {0, 3, 6};
  for (AdvantageKind kind : {AdvantageKind::group, AdvantageKind::none, AdvantageKind::batch}) {
    auto first = advantages(kind, ab, groups);
    std::rotate(first.begin(), first.begin() + 3, first.end());
    EXPECT_THAT(advantages(kind, ba, groups), Pointwise(DoubleNear(1e-15), first));
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
  EXPECT_EQ(name(AdvantageKind::none), "none");
}

}  // namespace
}  // namespace grpo::algorithm
