#include "grpo/sdk/algorithm/entropy_control.hpp"

#include <cmath>

#include "golden.hpp"

namespace grpo::algorithm {
namespace {

TEST(AdaptiveEntropy, IsTrlsStepByStep) {
  int steps = 0, applied = 0;
  for (const auto& row : golden("entropy_control")) {
    const AdaptiveEntropy control{row.at("target"), row.at("minimum"), row.at("maximum"), row.at("delta")};
    EntropyBonus bonus{.coefficient = row.at("coefficient")};
    for (const auto& step : row.at("steps")) {
      EXPECT_NEAR(control.applied(bonus), step.at("applied").get<double>(), 1e-12) << step;
      double sum = 0;
      for (const auto& completion : step.at("entropies"))
        for (const double entropy : completion) sum += entropy;
      applied += control.applied(bonus) != 0;
      bonus = control.next(bonus, sum / 6);
      EXPECT_NEAR(bonus.coefficient, step.at("coefficient").get<double>(), 1e-12) << step;
      ++steps;
    }
  }
  EXPECT_EQ(steps, 3 * 14);
  EXPECT_GT(applied, 10);
  EXPECT_LT(applied, steps - 10);
}

TEST(AdaptiveEntropy, WithoutAMeasurementNothingMoves) {
  const AdaptiveEntropy control;
  const EntropyBonus bonus{0.5, 0.1};
  EXPECT_EQ(control.next(bonus, std::nan("")).coefficient, 0.5);
  EXPECT_EQ(control.next(bonus, std::nan("")).last_entropy, 0.1);
  EXPECT_EQ(control.applied({.coefficient = 0.5}), 0) << "before the first step";
}

}  // namespace
}  // namespace grpo::algorithm
