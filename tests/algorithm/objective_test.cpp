// Properties that any objective must have, and what bad input says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "fixture.hpp"
#include "grpo/sdk/error.hpp"

namespace grpo::algorithm {
namespace {

using Batch = OwnedBatch<double>;

ObjectiveOptions everything(std::string_view name) {
  ObjectiveOptions options = objective_options(name);
  options.kl_coefficient = 0.1;
  options.entropy_coefficient = 0.02;
  return options;
}

std::map<std::string, double> metric_map(const ObjectiveMetrics& metrics) {
  const auto values = metrics.values();
  return {values.begin(), values.end()};
}

class EveryObjective : public testing::TestWithParam<std::string_view> {};
INSTANTIATE_TEST_SUITE_P(Objective, EveryObjective, testing::ValuesIn(objective_names()),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(EveryObjective, MicroBatchesAddUpToTheWholeStep) {
  const ObjectiveOptions options = everything(GetParam());
  const Batch batch = Batch::random(3, 9);
  const Normalizer normalizer = batch.normalizer();
  const auto whole = run(options, batch.view(), normalizer);

  for (const std::vector<std::vector<size_t>>& parts :
       {std::vector<std::vector<size_t>>{{0, 1, 2}, {3}, {4, 5, 6, 7, 8}}, {{1}, {0, 2, 3, 4, 5, 6, 7, 8}}}) {
    double loss = 0;
    std::vector<double> dlogprob, dentropy;
    ObjectiveMetrics metrics;
    for (const auto& rows : parts) {
      const Batch micro = batch.rows(rows);
      const auto part = run(options, micro.view(), normalizer);
      loss += part.result.loss;
      dlogprob.insert(dlogprob.end(), part.dlogprob.begin(), part.dlogprob.end());
      dentropy.insert(dentropy.end(), part.dentropy.begin(), part.dentropy.end());
      metrics.merge(part.result.metrics);
    }
    EXPECT_NEAR(loss, whole.result.loss, 1e-14);
    // Row 1 is empty, so the second split keeps the order of tokens too.
    EXPECT_THAT(dlogprob, testing::Pointwise(testing::DoubleNear(1e-16), whole.dlogprob));
    EXPECT_THAT(dentropy, testing::Pointwise(testing::DoubleNear(1e-16), whole.dentropy));
    const auto merged = metric_map(metrics), expected = metric_map(whole.result.metrics);
    ASSERT_EQ(merged.size(), expected.size());
    for (const auto& [name, value] : expected) EXPECT_NEAR(merged.at(name), value, 1e-13) << name;
  }
}

TEST_P(EveryObjective, PermutingSamplesPermutesTheGradient) {
  const ObjectiveOptions options = everything(GetParam());
  const Batch batch = Batch::random(31, 6);
  const std::vector<size_t> order = {4, 2, 1, 5, 0, 3};
  const Batch shuffled = batch.rows(order);
  const auto before = run(options, batch.view(), batch.normalizer());
  const auto after = run(options, shuffled.view(), batch.normalizer());
  EXPECT_NEAR(before.result.loss, after.result.loss, 1e-14);
  for (size_t i = 0; i < order.size(); ++i) {
    const auto from = static_cast<size_t>(batch.start[order[i]]), to = static_cast<size_t>(shuffled.start[i]);
    const auto size = static_cast<size_t>(shuffled.start[i + 1]) - to;
    for (size_t t = 0; t < size; ++t) EXPECT_EQ(before.dlogprob[from + t], after.dlogprob[to + t]);
  }
}

TEST_P(EveryObjective, MaskedTokensMatterToNothing) {
  const ObjectiveOptions options = everything(GetParam());
  Batch batch = Batch::random(7, 6);
  const auto before = run(options, batch.view(), batch.normalizer());
  int masked = 0;
  for (size_t t = 0; t < batch.mask.size(); ++t) {
    if (batch.mask[t]) continue;
    ++masked;
    EXPECT_EQ(before.dlogprob[t], 0);
    EXPECT_EQ(before.dentropy[t], 0);
    batch.logprob[t] = batch.old_logprob[t] = batch.reference_logprob[t] = batch.entropy[t] = std::nan("");
    batch.sampled_logprob[t] = -1e30;
  }
  ASSERT_GT(masked, 2);
  const auto after = run(options, batch.view(), batch.normalizer());
  EXPECT_EQ(before.result.loss, after.result.loss);
  EXPECT_EQ(before.dlogprob, after.dlogprob);
  EXPECT_EQ(metric_map(before.result.metrics), metric_map(after.result.metrics));
}

TEST_P(EveryObjective, NoAdvantageNoGradient) {
  Batch batch = Batch::random(11, 6);
  batch.advantage.assign(batch.advantage.size(), 0.0);
  ObjectiveOptions options = objective_options(GetParam());
  options.kl_cov_coefficient = options.dro_beta = 0;  // their pull back is there without an advantage too
  const auto out = run(options, batch.view(), batch.normalizer());
  EXPECT_EQ(out.result.loss, 0);
  for (double d : out.dlogprob) EXPECT_EQ(d, 0);
  for (double d : out.dentropy) EXPECT_EQ(d, 0);
}

// The policy gradient itself: on the first pass every objective's gradient is -A times its aggregation's factor.
TEST_P(EveryObjective, OnPolicyTheRatioIsOneAndTheGradientIsThePolicyGradient) {
  ObjectiveOptions options = objective_options(GetParam());
  Batch batch = Batch::random(13, 6);
  batch.old_logprob = batch.logprob;
  batch.policy_weight.assign(batch.logprob.size(), 1.0);
  batch.importance_ratio.assign(batch.logprob.size(), 1.0);
  batch.covariance.assign(batch.logprob.size(), 0);
  const Normalizer normalizer = batch.normalizer();
  const auto given = run(options, batch.view(), normalizer);
  auto first_pass = batch.view();
  first_pass.old_logprob = {};
  const auto absent = run(options, first_pass, normalizer);
  EXPECT_EQ(given.dlogprob, absent.dlogprob);
  EXPECT_EQ(metric_map(given.result.metrics), metric_map(absent.result.metrics));

  const auto metrics = metric_map(given.result.metrics);
  EXPECT_EQ(metrics.at("ratio/mean"), 1);
  EXPECT_EQ(metrics.at("ratio/max"), 1);
  EXPECT_EQ(metrics.contains("clip_ratio/region_mean") ? metrics.at("clip_ratio/region_mean") : 0, 0);

  for (size_t row = 0; row < batch.advantage.size(); ++row) {
    const auto begin = static_cast<size_t>(batch.start[row]), end = static_cast<size_t>(batch.start[row + 1]);
    const double kept =
        std::accumulate(batch.mask.begin() + batch.start[row], batch.mask.begin() + batch.start[row + 1], 0.0);
    double factor = 1 / normalizer.tokens;
    if (options.aggregation == Aggregation::sequence_mean) factor = 1 / (normalizer.rows * std::max(kept, 1.0));
    if (options.aggregation == Aggregation::fixed_length)
      factor = 1 / (normalizer.rows * normalizer.max_completion_length);
    if (options.aggregation == Aggregation::sequence_sum) factor = 1 / normalizer.rows;
    for (size_t t = begin; t < end; ++t) {
      const double expected = batch.mask[t] ? -batch.advantage[row] * factor : 0;
      EXPECT_NEAR(given.dlogprob[t], expected, 1e-15) << "row " << row << ", token " << t;
    }
  }
}

TEST_P(EveryObjective, FloatAgreesWithDouble) {
  const ObjectiveOptions options = everything(GetParam());
  const auto narrow = OwnedBatch<float>::random(41, 6);
  Batch wide = Batch::random(41, 6);
  wide.logprob.assign(narrow.logprob.begin(), narrow.logprob.end());
  wide.old_logprob.assign(narrow.old_logprob.begin(), narrow.old_logprob.end());
  wide.reference_logprob.assign(narrow.reference_logprob.begin(), narrow.reference_logprob.end());
  wide.entropy.assign(narrow.entropy.begin(), narrow.entropy.end());
  const auto from_float = run(options, narrow.view(), narrow.normalizer());
  const auto from_double = run(options, wide.view(), wide.normalizer());
  EXPECT_EQ(from_float.result.loss, from_double.result.loss);
  for (size_t t = 0; t < wide.logprob.size(); ++t) {
    EXPECT_EQ(from_float.dlogprob[t], static_cast<float>(from_double.dlogprob[t]));
  }
}

TEST_P(EveryObjective, AMissingSampledLogProbabilityIsLeftOutOfTheDifference) {
  const ObjectiveOptions options = objective_options(GetParam());
  Batch batch = Batch::random(2, 4);
  batch.mask.assign(batch.mask.size(), 1);
  for (size_t t = 0; t < batch.logprob.size(); ++t) batch.sampled_logprob[t] = batch.old_logprob[t] + 0.25;
  batch.sampled_logprob[0] = std::nan("");
  auto metrics = run(options, batch.view(), batch.normalizer()).result.metrics;
  EXPECT_EQ(metrics.logp_difference.count, static_cast<double>(batch.logprob.size()) - 1);
  EXPECT_NEAR(metrics.logp_difference.value(), 0.25, 1e-15);
  EXPECT_NEAR(metrics.logp_difference_max, 0.25, 1e-15);
  batch.sampled_logprob.clear();
  EXPECT_FALSE(metric_map(run(options, batch.view(), batch.normalizer()).result.metrics)
                   .contains("sampling/logp_difference/mean"));
}

// verl's dual clip: for A < 0, min(max(-r A, -clip(r) A), -c A).
TEST(Objective, DeltaIsVerlsDualClipForNegativeAdvantages) {
  ObjectiveOptions options = objective_options("dapo");
  options.delta = 3;
  Batch batch;
  batch.start = {0, 1};
  batch.advantage = {-2};
  for (double r : {0.1, 0.79, 1.0, 1.3, 2.9, 3.1, 50.0}) {
    batch.logprob = {std::log(r) - 1};
    batch.old_logprob = {-1};
    const double dual = std::min(std::max(2 * r, 2 * std::clamp(r, 0.8, 1.2)), 2 * 3.0);
    BasicTokenBatch<double> view;
    view.start = batch.start, view.logprob = batch.logprob, view.old_logprob = batch.old_logprob;
    view.advantage = batch.advantage;
    EXPECT_NEAR(run(options, view, {.rows = 1, .tokens = 1}).result.loss, dual, 1e-12) << r;
  }
}

TEST(Objective, TokenAdvantagesReplaceThoseOfTheRows) {
  const ObjectiveOptions options = objective_options("grpo");
  Batch batch = Batch::random(19, 5);
  std::vector<double> spread;
  for (size_t row = 0; row < batch.advantage.size(); ++row) {
    spread.insert(spread.end(), static_cast<size_t>(batch.start[row + 1] - batch.start[row]), batch.advantage[row]);
  }
  auto view = batch.view();
  const auto by_row = run(options, view, batch.normalizer());
  view.advantage = {};
  view.token_advantage = spread;
  EXPECT_EQ(run(options, view, batch.normalizer()).dlogprob, by_row.dlogprob);
  for (double& advantage : spread) advantage += 1;
  EXPECT_NE(run(options, view, batch.normalizer()).dlogprob, by_row.dlogprob);
}

TEST(Objective, AnEmptyBatchIsNoLoss) {
  const std::vector<int64_t> start = {0};
  TokenBatch batch;
  batch.start = start;
  const ObjectiveResult result = evaluate<float>(objective_options("dapo"), batch, {.rows = 1, .tokens = 1}, {}, {});
  EXPECT_EQ(result.loss, 0);
  EXPECT_EQ(result.metrics.values().size(), 2u);  // loss and policy_loss; nothing else was measured
}

// Every refusal names what is wrong.
template <class Call>
void expect_error(Call call, const std::string& text) {
  try {
    call();
    ADD_FAILURE() << "no error; expected one with: " << text;
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr(text));
  }
}

TEST(Objective, BadInputIsRefusedByName) {
  const ObjectiveOptions options = everything("grpo");
  const Batch good = Batch::random(1, 4);
  const auto try_batch = [&](auto change, const std::string& text) {
    auto view = good.view();
    Normalizer normalizer = good.normalizer();
    ObjectiveOptions changed = options;
    Batch copy = good;
    change(view, copy, normalizer, changed);
    expect_error([&] { run(changed, view, normalizer); }, text);
  };
  using View = BasicTokenBatch<double>;
  const auto at = static_cast<size_t>(std::find(good.mask.begin(), good.mask.end(), 1) - good.mask.begin());
  try_batch([](View& v, Batch&, Normalizer&, auto&) { v.reference_logprob = {}; }, "reference_logprob is missing");
  try_batch([](View& v, Batch&, Normalizer&, auto&) { v.entropy = {}; }, "entropy is missing");
  try_batch([](View& v, Batch&, Normalizer&, auto&) { v.advantage = v.advantage.first(2); }, "advantage has 2 values");
  try_batch([](View& v, Batch&, Normalizer&, auto&) { v.mask = v.mask.first(1); }, "mask has 1 values");
  try_batch([](View& v, Batch&, Normalizer&, auto&) { v.start = {}; }, "start");
  try_batch([](View&, Batch&, Normalizer& n, auto&) { n.rows = 0; }, "normalizer rows is 0");
  try_batch([](View&, Batch&, Normalizer& n, auto&) { n.tokens = 0; }, "normalizer tokens is 0");
  try_batch([](View&, Batch&, Normalizer&, ObjectiveOptions& o) { o.clip_low = 1.5; }, "clip_low is 1.5");
  try_batch([](View&, Batch&, Normalizer&, ObjectiveOptions& o) { o.delta = 0; }, "delta is 0");
  try_batch(
      [&](View& v, Batch& b, Normalizer&, auto&) {
        b.logprob[at] = std::nan("");
        v.logprob = b.logprob;
      },
      "logprob of row 0, token " + std::to_string(at) + " is nan");
  try_batch(
      [&](View& v, Batch& b, Normalizer&, auto&) {
        b.advantage[0] = INFINITY;
        v.advantage = b.advantage;
      },
      "advantage of row 0");
  expect_error([] { objective_options("ppo2"); }, "dr_grpo");
  expect_error([] { kl_estimator("k4"); }, "k3");
  try_batch(
      [](View&, Batch&, Normalizer&, ObjectiveOptions& o) {
        o.term = PolicyTerm::gmpo;
        o.ratio = RatioLevel::token;
      },
      "geometric mean");
  try_batch([](View&, Batch&, Normalizer&, ObjectiveOptions& o) { o.kl_cov_ratio = 0; }, "kl_cov_ratio is 0");
  try_batch([](View& v, Batch&, Normalizer&, auto&) { v.covariance_tokens = v.covariance_tokens.first(1); },
            "covariance_tokens has 1 values");
}

TEST(Objective, NamesFold) {
  EXPECT_EQ(objective_options("Dr-GRPO").aggregation, Aggregation::fixed_length);
  EXPECT_EQ(objective_options("gspo").clip_high, 4e-4);
  EXPECT_EQ(objective_options("luspo").clip_high, 2.5e-3);
  EXPECT_EQ(kl_estimator("low_var_kl"), KlEstimator::k3);
  EXPECT_EQ(aggregation("seq-mean-token-sum"), Aggregation::sequence_sum);
  EXPECT_EQ(ratio_level("sequence"), RatioLevel::sequence);
  EXPECT_EQ(aggregation("seq-mean-token-sum-norm"), Aggregation::fixed_length);
  EXPECT_EQ(objective_options("geo_mean").term, PolicyTerm::gmpo);
  EXPECT_EQ(objective_options("gmpo").clip_high, 0.4);
  EXPECT_EQ(objective_options("vanilla").aggregation, Aggregation::token_mean);
  EXPECT_EQ(kl_estimator("low_var_kl+"), KlEstimator::k3_plus);
  EXPECT_EQ(objective_names().size(), 17u);
  EXPECT_THROW(aggregation("mean"), Error);
}

}  // namespace
}  // namespace grpo::algorithm
