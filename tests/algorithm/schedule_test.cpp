#include "grpo/sdk/algorithm/schedule.hpp"

#include <cmath>
#include <limits>

#include "golden.hpp"
#include "grpo/sdk/error.hpp"

namespace grpo::algorithm {
namespace {

TEST(Schedule, RatesAreThoseOfTransformers) {
  for (const auto& row : golden("schedules")) {
    ScheduleOptions options;
    options.kind = schedule_kind(row.at("kind").get<std::string>());
    options.peak = row.at("peak");
    options.warmup_steps = row.at("warmup_steps");
    options.min_ratio = row.at("min_ratio");
    const auto rates = row.at("rates").get<std::vector<double>>();
    // transformers' cosine rises again past the end; ours stays.
    const size_t total = row.at("total").get<size_t>();
    const size_t steps = options.kind == ScheduleKind::cosine ? total + 1 : rates.size();
    for (size_t step = 0; step < steps; ++step) {
      EXPECT_NEAR(learning_rate(options, static_cast<int64_t>(step), static_cast<int64_t>(total)), rates[step], 1e-18)
          << row.at("kind") << " step " << step;
    }
  }
}

TEST(Schedule, WarmupRatioRoundsUpAndStepsWin) {
  ScheduleOptions options = {.kind = ScheduleKind::constant, .peak = 1, .warmup_steps = 0, .warmup_ratio = 0.21};
  EXPECT_EQ(learning_rate(options, 2, 10), 2.0 / 3);
  EXPECT_EQ(learning_rate(options, 3, 10), 1);
  options.warmup_steps = 4;
  EXPECT_EQ(learning_rate(options, 3, 10), 0.75);
}

TEST(Schedule, LinearAndCosineEndAtTheFloorAndStayThere) {
  for (ScheduleKind kind : {ScheduleKind::linear, ScheduleKind::cosine}) {
    const ScheduleOptions options = {.kind = kind, .peak = 2, .warmup_steps = 2, .warmup_ratio = 0, .min_ratio = 0.1};
    EXPECT_EQ(learning_rate(options, 2, 10), 2);
    EXPECT_NEAR(learning_rate(options, 10, 10), 0.2, 1e-15);
    EXPECT_NEAR(learning_rate(options, 999, 10), 0.2, 1e-15);
    for (int64_t step = 2; step < 10; ++step) {
      EXPECT_GT(learning_rate(options, step, 10), learning_rate(options, step + 1, 10));
    }
  }
}

TEST(Schedule, BadOptionsAreRefused) {
  EXPECT_THROW(learning_rate({.peak = -1}, 0, 1), Error);
  EXPECT_THROW(learning_rate({.min_ratio = 2}, 0, 1), Error);
  EXPECT_THROW(learning_rate({}, -1, 1), Error);
  EXPECT_THROW(schedule_kind("cosin"), Error);
}

TEST(GradientScale, IsTorchsClipGradNorm) {
  EXPECT_EQ(gradient_scale(0.5, 1), 1);
  EXPECT_EQ(gradient_scale(0, 1), 1);
  EXPECT_DOUBLE_EQ(gradient_scale(4, 1), 1 / (4 + 1e-6));
  EXPECT_EQ(gradient_scale(1e9, 0), 1);
  EXPECT_THROW(gradient_scale(std::nan(""), 1), Error);
  EXPECT_THROW(gradient_scale(std::numeric_limits<double>::infinity(), 0), Error);
  EXPECT_THROW(gradient_scale(1, -1), Error);
}

}  // namespace
}  // namespace grpo::algorithm
