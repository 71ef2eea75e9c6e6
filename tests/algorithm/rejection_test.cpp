// Which tokens leave the loss where model and sampler disagree, and what a wrong request is told. The modes themselves
// are compared with verl's and AReaL's in verl_test.cpp.
#include "grpo/sdk/algorithm/rejection.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "grpo/sdk/error.hpp"

namespace grpo::algorithm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// log rho: 0.3, -0.1 | (no token) | 0.05, unknown | 0.5, 0 where the last but one is masked.
const std::vector<int64_t> rows_at = {0, 2, 2, 4, 6};
const std::vector<double> by_model = {-1, -1, -1, -1, -1, -1};
const std::vector<double> by_sampler = {-1.3, -0.9, -1.05, std::nan(""), -1.5, -1};
const std::vector<uint8_t> in_loss = {1, 1, 1, 1, 0, 1};

std::vector<uint8_t> accepted(const char* modes, const char* thresholds, RejectionMetrics* metrics = nullptr) {
  return accepted_tokens(rejection_criteria(modes, thresholds), rows_at, by_model, by_sampler, in_loss, metrics);
}

TEST(Rejection, TakesTokensOrWholeCompletions) {
  EXPECT_THAT(accepted("token_k1", "0.8_1.3"), ElementsAre(0, 1, 1, 1, 1, 1));  // 1 / rho is 0.74
  EXPECT_THAT(accepted("token_k1", "0.7_1.1"), ElementsAre(1, 0, 1, 1, 1, 1));  // and 1.105
  EXPECT_THAT(accepted("token_k1", "0.8_1.05"), ElementsAre(0, 0, 1, 1, 1, 1));
  EXPECT_THAT(accepted("seq_mean_k1", "0.95_1.05"), ElementsAre(0, 0, 1, 1, 1, 1));
  EXPECT_THAT(accepted("seq_mean_k1", "0.98_1.05"), ElementsAre(0, 0, 0, 0, 1, 1));
  EXPECT_THAT(accepted("seq_max_k2", "0.04"), ElementsAre(0, 0, 1, 1, 1, 1));
  EXPECT_THAT(accepted("", ""), ElementsAre(1, 1, 1, 1, 1, 1));
}

TEST(Rejection, ATokenHasToPassAllCriteria) {
  EXPECT_THAT(accepted("token_k1, seq_sum_k2", "0.95_1.05, 0.04"), ElementsAre(0, 0, 1, 1, 1, 1));
  EXPECT_THAT(accepted("token_k2,token_k1,token_k2", "0.04,0.7_1.1"), ElementsAre(0, 0, 1, 1, 1, 1));
  EXPECT_EQ(rejection_criteria("token_k2,token_k3", "0.5").size(), 2u) << "one threshold for all";
}

TEST(Rejection, ASingleBoundOfARatioIsItsReciprocalToo) {
  const auto one = rejection_criteria("token_k1", "2")[0], two = rejection_criteria("token_k1", "0.5_2")[0];
  EXPECT_EQ(one.lower, two.lower);
  EXPECT_EQ(one.upper, two.upper);
  EXPECT_DOUBLE_EQ(one.upper, std::log(2));
}

// Of coins that fall on the token: 0.5 against 0.6 are 0.0204 and 0.0201 nats apart, 0.1 against 0.2 are 0.0367 and
// 0.0444.
TEST(Rejection, CoinsAreComparedInBothDirections) {
  const std::vector<int64_t> one = {0, 2};
  const std::vector<double> then = {std::log(0.6), std::log(0.1)}, now = {std::log(0.5), std::log(0.2)};
  const auto with = [&](const char* threshold) {
    return accepted_tokens(rejection_criteria("binary_kl", threshold), one, now, then, {}, nullptr);
  };
  EXPECT_THAT(with("0.0203"), ElementsAre(0, 0));
  EXPECT_THAT(with("0.0205"), ElementsAre(1, 0));
  EXPECT_THAT(with("0.0443"), ElementsAre(1, 0));
  EXPECT_THAT(with("0.0445"), ElementsAre(1, 1));
}

// Squares: 0.09, 0.01, 0.0025, 0, 0; their mean is 0.0205, without the largest 0.003125.
TEST(Rejection, TheLargestGoUntilTheMeanSquareIsUnderTheThreshold) {
  EXPECT_THAT(accepted("m2", "0.03"), ElementsAre(1, 1, 1, 1, 1, 1));
  EXPECT_THAT(accepted("m2", "0.01"), ElementsAre(0, 1, 1, 1, 1, 1));
  EXPECT_THAT(accepted("m2", "0.003"), ElementsAre(0, 0, 1, 1, 1, 1));
  const std::vector<int64_t> two = {0, 2};
  const std::vector<double> then = {-1, -1}, now = {-3, -2};
  EXPECT_THAT(accepted_tokens(rejection_criteria("m2", "0.5"), two, then, now, {}, nullptr), ElementsAre(0, 1))
      << "one stays in any case";
}

TEST(Rejection, IsToldByTokensAndByCompletions) {
  RejectionMetrics metrics;
  accepted("token_k1,seq_sum_k2", "0.95_1.05,0.04", &metrics);
  auto values = metrics.values();
  std::map<std::string, double> told(values.begin(), values.end());
  EXPECT_DOUBLE_EQ(told.at("sampling/rejection/tokens"), 2 / 5.0);
  EXPECT_DOUBLE_EQ(told.at("sampling/rejection/completions"), 1 / 3.0);
  EXPECT_DOUBLE_EQ(told.at("sampling/rejection/token_k1/high"), 1 / 5.0);
  EXPECT_DOUBLE_EQ(told.at("sampling/rejection/token_k1/low"), 1 / 5.0);
  EXPECT_NEAR(told.at("sampling/rejection/token_k1/mean"), (-0.3 + 0.1 - 0.05) / 5, 1e-12);
  EXPECT_NEAR(told.at("sampling/rejection/seq_sum_k2/max"), 0.05, 1e-12);
  EXPECT_DOUBLE_EQ(told.at("sampling/rejection/seq_sum_k2/high"), 1 / 3.0) << "of completions";
  EXPECT_FALSE(told.contains("sampling/rejection/seq_sum_k2/low"));

  // Row by row it is the same.
  RejectionMetrics merged;
  const auto criteria = rejection_criteria("token_k1,seq_sum_k2", "0.95_1.05,0.04");
  for (size_t row = 0; row < 4; ++row) {
    const auto at = static_cast<size_t>(rows_at[row]), n = static_cast<size_t>(rows_at[row + 1]) - at;
    const std::vector<int64_t> one = {0, static_cast<int64_t>(n)};
    accepted_tokens(criteria, one, std::span(by_model).subspan(at, n), std::span(by_sampler).subspan(at, n),
                    std::span(in_loss).subspan(at, n), &merged);
  }
  for (const auto& [name, value] : merged.values()) EXPECT_NEAR(value, told.at(name), 1e-14) << name;
  EXPECT_TRUE(RejectionMetrics().values().empty());
}

TEST(Rejection, WhatIsWrongIsNamed) {
  const auto error = [](const char* modes, const char* thresholds) {
    try {
      rejection_criteria(modes, thresholds);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_THAT(error("token_k4", "1"), HasSubstr("unknown mode \"token_k4\"; known: token_k1, "));
  EXPECT_THAT(error("token_k1", ""), HasSubstr("one for each mode, or one for all"));
  EXPECT_THAT(error("token_k1,token_k2,m2", "1,2"), HasSubstr("2 thresholds for 3 modes"));
  EXPECT_THAT(error("token_k2", "0.5_2"), HasSubstr("the threshold \"0.5_2\" of token_k2 must be a number over 0"));
  EXPECT_THAT(error("token_k1", "0_2"), HasSubstr("bounds of the ratio, as 0.5_2"));
  for (const char* bad : {"-1", "0", "x", "1e999", "nan", "1_", "_2"}) EXPECT_NE(error("seq_sum_k1", bad), "") << bad;
  EXPECT_THAT(error("token_k1", "2_0.5"), HasSubstr("its lower bound is above the upper"));
  EXPECT_THAT(error("token_k1", "0.5"), HasSubstr("a single number u means 1/u_u"));
  EXPECT_THROW(accepted_tokens({}, rows_at, by_model, std::span(by_sampler).first(3), {}, nullptr), Error);
}

}  // namespace
}  // namespace grpo::algorithm
