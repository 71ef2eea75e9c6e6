// Every closed-form gradient against central differences in double precision: all objectives, ratio levels, KL
// estimators.
//
// Where a paper holds a factor fixed ("stopgrad"), the objective is not the integral of its gradient: there the
// difference quotient is taken of a surrogate with that factor frozen at the unshifted point, written out here a second
// time.
#include <gtest/gtest.h>

#include <cmath>

#include "fixture.hpp"

namespace grpo::algorithm {
namespace {

using Batch = OwnedBatch<double>;

ObjectiveOptions with(ObjectiveOptions options, double kl, KlEstimator estimator, bool correction) {
  options.kl_coefficient = kl;
  options.kl_estimator = estimator;
  options.kl_bias_correction = correction;
  options.entropy_coefficient = 0.03;
  return options;
}

// d loss / d (logprob or entropy)_t by central differences.
double quotient(const ObjectiveOptions& options, Batch& batch, std::vector<double>& values, size_t t) {
  const Normalizer normalizer = batch.normalizer();
  const double h = 1e-6, at = values[t];
  values[t] = at + h;
  const double above = run(options, batch.view(), normalizer).result.loss;
  values[t] = at - h;
  const double below = run(options, batch.view(), normalizer).result.loss;
  values[t] = at;
  return (above - below) / (2 * h);
}

void expect_gradients(const ObjectiveOptions& options, Batch batch, const std::string& what) {
  const Outcome<double> exact = run(options, batch.view(), batch.normalizer());
  ASSERT_TRUE(std::isfinite(exact.result.loss)) << what;
  double largest = 0;
  for (size_t t = 0; t < batch.logprob.size(); ++t) {
    EXPECT_NEAR(exact.dlogprob[t], quotient(options, batch, batch.logprob, t), 2e-8) << what << ", logprob " << t;
    EXPECT_NEAR(exact.dentropy[t], quotient(options, batch, batch.entropy, t), 1e-8) << what << ", entropy " << t;
    largest = std::max(largest, std::abs(exact.dlogprob[t]));
  }
  EXPECT_GT(largest, 1e-4) << what << ": nothing was compared";
}

bool holds_a_factor_fixed(const ObjectiveOptions& options) {
  return options.term == PolicyTerm::cispo || options.term == PolicyTerm::vespo ||
         options.term == PolicyTerm::dppo_tv || options.term == PolicyTerm::dppo_kl ||
         options.ratio == RatioLevel::sequence_token;
}

TEST(Gradient, EveryObjectiveKlAndRatioLevelMatchesCentralDifferences) {
  int combinations = 0;
  for (std::string_view name : objective_names()) {
    for (RatioLevel level : {RatioLevel::token, RatioLevel::sequence}) {
      for (KlEstimator estimator : {KlEstimator::k1, KlEstimator::k2, KlEstimator::k3, KlEstimator::abs}) {
        for (int mode = 0; mode < 3; ++mode) {  // no KL, plain, bias-corrected
          ObjectiveOptions options = with(objective_options(name), mode == 0 ? 0 : 0.2, estimator, mode == 2);
          options.ratio = level;
          if (holds_a_factor_fixed(options)) continue;
          if (options.term == PolicyTerm::gmpo && level == RatioLevel::token) continue;  // has no such form
          const std::string what = std::string(name) + ", level " + std::to_string(static_cast<int>(level)) + ", " +
                                   std::string(algorithm::name(estimator)) + ", mode " + std::to_string(mode);
          expect_gradients(options, Batch::random(17 + static_cast<unsigned>(mode), 6), what);
          ++combinations;
        }
      }
    }
  }
  EXPECT_EQ(combinations, (12 * 2 + 1) * 4 * 3);
}

TEST(Gradient, ClipOptionsMatchCentralDifferences) {
  for (double low : {0.0, 0.1, 0.4, 1.0}) {
    for (double high : {0.0, 0.28, 3.0}) {
      for (double delta : {0.0, 0.9, 1.2, 2.5}) {
        ObjectiveOptions options = objective_options("grpo");
        options.clip_low = low;
        options.clip_high = high;
        if (delta > 0) options.delta = delta;
        expect_gradients(
            options, Batch::random(5, 8, 0.8),
            "clip " + std::to_string(low) + " " + std::to_string(high) + " delta " + std::to_string(delta));
      }
    }
  }
}

TEST(Gradient, GmpoClipsTokenByToken) {
  for (double low : {0.0, 0.05, 0.4}) {
    for (double high : {0.0, 0.1, 0.4}) {
      ObjectiveOptions options = objective_options("gmpo");
      options.clip_low = low;
      options.clip_high = high;
      const Batch batch = Batch::random(31, 12, 0.3);
      expect_gradients(options, batch, "gmpo " + std::to_string(low) + " " + std::to_string(high));
      const auto metrics = run(options, batch.view(), batch.normalizer()).result.metrics;
      EXPECT_GT(metrics.clip_region.value(), 0);
      EXPECT_LT(metrics.clip_region.value(), 1);
    }
  }
}

// The straight-through forms: the value of their estimator, the gradient of k2.
TEST(Gradient, StraightThroughHasTheGradientOfK2) {
  const std::pair<KlEstimator, KlEstimator> forms[] = {{KlEstimator::k1_plus, KlEstimator::k1},
                                                       {KlEstimator::k3_plus, KlEstimator::k3},
                                                       {KlEstimator::abs_plus, KlEstimator::abs}};
  Batch batch = Batch::random(37, 6, 0.5);
  for (const auto& [plus, plain] : forms) {
    const auto of = [&](KlEstimator estimator) {
      return run(with(objective_options("dapo"), 0.2, estimator, false), batch.view(), batch.normalizer());
    };
    EXPECT_NEAR(of(plus).result.loss, of(plain).result.loss, 1e-15);
    const auto gradient = of(plus).dlogprob, of_k2 = of(KlEstimator::k2).dlogprob;
    for (size_t t = 0; t < gradient.size(); ++t) EXPECT_NEAR(gradient[t], of_k2[t], 1e-15);
  }
}

TEST(Gradient, GuardsMatchCentralDifferences) {
  ObjectiveOptions options = with(objective_options("dapo"), 0.2, KlEstimator::k3, true);
  options.clip_high = 100;
  options.log_ratio_limit = 0.4;
  options.kl_limit = 0.05;
  expect_gradients(options, Batch::random(9, 8, 0.5), "guards at token level");
  options.ratio = RatioLevel::sequence;
  options.log_ratio_limit = 0.1;
  expect_gradients(options, Batch::random(9, 8, 0.5), "guards at sequence level");
}

// CISPO, VESPO and DPPO: with the weight frozen, loss = -sum factor x weight x A x logprob is linear in logprob.
TEST(Gradient, DetachedWeightsKeepOnlyTheLogProbabilitysGradient) {
  for (const char* name : {"cispo", "vespo", "dppo_tv", "dppo_kl"}) {
    const ObjectiveOptions options = objective_options(name);
    Batch batch = Batch::random(23, 6, 1.0);
    const Outcome<double> exact = run(options, batch.view(), batch.normalizer());
    // A linear function without a constant is its gradient times its argument.
    double rebuilt = 0;
    for (size_t t = 0; t < batch.logprob.size(); ++t) rebuilt += exact.dlogprob[t] * batch.logprob[t];
    EXPECT_NEAR(rebuilt, exact.result.loss, 1e-12) << name;
    EXPECT_GT(std::abs(exact.result.loss), 1e-3) << name;
  }
}

// GSPO-token: the value is the sequence's, and the gradient is that of GSPO too while advantages are one a row
// (each token has 1 / n of the row's weight, and moves the ratio as if alone).
TEST(Gradient, GspoTokenHasTheValueAndGradientOfGspo) {
  Batch batch = Batch::random(29, 6, 1e-4);
  batch.policy_weight.assign(batch.logprob.size(), 1.0);
  const auto gspo = run(objective_options("gspo"), batch.view(), batch.normalizer());
  const auto token = run(objective_options("gspo_token"), batch.view(), batch.normalizer());
  EXPECT_NEAR(gspo.result.loss, token.result.loss, 1e-15);
  for (size_t t = 0; t < batch.logprob.size(); ++t) EXPECT_NEAR(gspo.dlogprob[t], token.dlogprob[t], 1e-15);
}

}  // namespace
}  // namespace grpo::algorithm
