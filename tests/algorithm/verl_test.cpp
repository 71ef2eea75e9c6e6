// verl's and AReaL's own functions: policy losses with autograd's gradient, KL estimators and their controller,
// advantages, rollout weights, rejection. Made by tests/golden/make/objectives_verl.py.
#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <map>

#include "golden.hpp"
#include "grpo/sdk/algorithm/advantages.hpp"
#include "grpo/sdk/algorithm/divergence.hpp"
#include "grpo/sdk/algorithm/kl_control.hpp"
#include "grpo/sdk/algorithm/objective.hpp"
#include "grpo/sdk/algorithm/objective_row.hpp"
#include "grpo/sdk/algorithm/rejection.hpp"
#include "grpo/sdk/algorithm/weights.hpp"

namespace grpo::algorithm {
namespace {

using nlohmann::json;
using testing::DoubleNear;
using testing::Pointwise;

std::vector<double> flat(const json& rows) {
  std::vector<double> out;
  for (const json& row : rows)
    for (const json& value : row) out.push_back(value.get<double>());
  return out;
}

// verl adds 1e-8 to counts that it divides by, AReaL's behaviour weight is float32.
TEST(Verl, LossAndGradient) {
  int rows = 0;
  for (const json& row : golden("objectives_verl")) {
    const json ours = objective_row(row);
    const double tolerance = row.at("id").get<std::string>().starts_with("areal") ? 1e-6 : 1e-7;
    EXPECT_NEAR(ours.at("loss").get<double>(), row.at("expected").at("loss").get<double>(), tolerance) << row;
    EXPECT_THAT(flat(ours.at("dlogp")), Pointwise(DoubleNear(tolerance), flat(row.at("expected").at("dlogp")))) << row;
    ++rows;
  }
  EXPECT_EQ(rows, 11 * 8 + 10 + 12);
}

TEST(Verl, DppoLeavesSomeTokensOutAndNotAll) {
  for (const char* name : {"dppo_tv", "dppo_kl"}) {
    int some = 0;
    for (const json& row : golden("objectives_verl")) {
      if (row.at("config").at("loss_type") != name) continue;
      const double share = objective_row(row).at("metrics").at("clip_ratio/region_mean").get<double>();
      some += share > 0 && share < 1;
    }
    EXPECT_GE(some, 3) << name;
  }
}

TEST(Verl, CovarianceControlChoosesSomeTokensAndNotAll) {
  for (const char* name : {"clip_cov", "kl_cov"}) {
    int some = 0;
    for (const json& row : golden("objectives_verl")) {
      if (row.at("config").at("loss_type") != name) continue;
      const double share = objective_row(row).at("metrics").at("clip_ratio/covariance_mean").get<double>();
      some += share > 0 && share < 1;
    }
    EXPECT_GE(some, 3) << name;
  }
}

// One token without an advantage: what is left of the objective is the KL.
ObjectiveResult kl_of_token(const std::string& estimator, double logprob, double reference, double& gradient) {
  ObjectiveOptions options = objective_options("dapo");
  options.kl_coefficient = 1;
  options.kl_bias_correction = false;
  options.kl_estimator = kl_estimator(estimator);
  const std::vector<int64_t> start = {0, 1};
  const std::vector<double> advantage = {0};
  BasicTokenBatch<double> batch;
  batch.start = start;
  batch.logprob = {&logprob, 1};
  batch.reference_logprob = {&reference, 1};
  batch.advantage = advantage;
  return evaluate<double>(options, batch, {.rows = 1, .tokens = 1}, {&gradient, 1}, {});
}

TEST(Verl, KlEstimatorsAndTheirGradients) {
  int estimators = 0;
  for (const json& row : golden("kl_verl")) {
    if (!row.contains("estimator")) continue;
    ++estimators;
    for (size_t i = 0; i < row.at("logps").size(); ++i) {
      double gradient = 0;
      const auto result = kl_of_token(row.at("estimator"), row.at("logps")[i], row.at("reference")[i], gradient);
      EXPECT_NEAR(result.metrics.kl.value(), row.at("value")[i].get<double>(), 1e-14) << row;
      EXPECT_NEAR(gradient, row.at("gradient")[i].get<double>(), 1e-14) << row;
    }
  }
  EXPECT_EQ(estimators, 12);
}

TEST(Verl, AdaptiveKlFollowsTheTarget) {
  int compared = 0;
  for (const json& row : golden("kl_verl")) {
    if (!row.contains("adaptive")) continue;
    const json& made = row.at("adaptive");
    const AdaptiveKl control{made.at("target"), made.at("horizon")};
    double coefficient = made.at("coefficient");
    for (size_t i = 0; i < row.at("measured").size(); ++i, ++compared) {
      coefficient = control.next(coefficient, row.at("measured")[i], made.at("samples"));
      EXPECT_NEAR(coefficient, row.at("coefficients")[i].get<double>(), 1e-16);
    }
    EXPECT_EQ(control.next(0.3, std::nan(""), 8), 0.3);
  }
  EXPECT_EQ(compared, 7);
}

struct AdvantageRow {
  AdvantageKind kind;
  std::vector<double> rewards, tokens, penalty;
  std::vector<int64_t> groups = {0}, start = {0};

  explicit AdvantageRow(const json& row)
      : kind(advantage_kind(row.at("kind").get<std::string>())), rewards(row.at("rewards")), tokens(row.at("tokens")) {
    for (const json& size : row.at("sizes")) groups.push_back(groups.back() + size.get<int64_t>());
    for (const double count : tokens) start.push_back(start.back() + static_cast<int64_t>(count));
    if (row.contains("penalty")) penalty = flat(row.at("penalty"));
  }
  // A penalty on tokens is one on the reward where advantages are those of whole completions.
  std::vector<double> penalised() const {
    auto out = rewards;
    for (size_t i = 0; i < out.size() && !penalty.empty(); ++i)
      for (auto t = start[i]; t < start[i + 1]; ++t) out[i] -= penalty[static_cast<size_t>(t)];
    return out;
  }
};

TEST(Verl, Advantages) {
  std::map<AdvantageKind, int> compared;
  for (const json& given : golden("advantages_verl")) {
    const AdvantageRow row(given);
    ++compared[row.kind];
    std::vector<double> expected;
    if (row.kind == AdvantageKind::reinforce_pp) {
      EXPECT_THAT(reinforce_pp_advantages(row.rewards, row.start, row.penalty, given.at("gamma")),
                  Pointwise(DoubleNear(1e-7), flat(given.at("advantages"))))
          << given;
      if (!row.penalty.empty()) continue;  // without one, every token of a row has the same
      for (const json& of_row : given.at("advantages")) expected.push_back(of_row[0]);
    } else {
      expected = given.at("advantages").get<std::vector<double>>();
    }
    const auto rewards = row.penalised();
    const AdvantageInput input = {.rewards = rewards,
                                  .group_start = row.groups,
                                  .epsilon = 1e-6,
                                  .tokens = row.tokens,
                                  .scores = {},
                                  .weights = {}};
    EXPECT_THAT(advantages(row.kind, input), Pointwise(DoubleNear(1e-7), expected)) << given;
  }
  EXPECT_EQ(compared.size(), 8u);
  for (const auto& [kind, rows] : compared) EXPECT_EQ(rows, 12) << name(kind);
}

TEST(Verl, RolloutWeights) {
  for (const json& row : golden("rollout_ratio_verl")) {
    std::vector<int64_t> start = {0};
    for (const json& of_row : row.at("old")) start.push_back(start.back() + static_cast<int64_t>(of_row.size()));
    const auto min = row.at("min").is_null() ? std::nullopt : std::optional<double>(row.at("min").get<double>());
    const auto kind = rollout_correction(row.at("kind").get<std::string>());
    auto ratio =
        rollout_ratio(kind, min, row.at("max").get<double>(), start, flat(row.at("old")), flat(row.at("sampled")), {});
    EXPECT_THAT(ratio, Pointwise(DoubleNear(1e-14), flat(row.at("ratio")))) << row;
    Mean mean;
    for (const double one : ratios_to_tell(kind, start, ratio, {})) mean.add(one);
    if (mean.value() > 1e-8)
      for (double& one : ratio) one /= mean.value();
    EXPECT_THAT(ratio, Pointwise(DoubleNear(1e-7), flat(row.at("normalized")))) << row;
  }
}

TEST(Verl, BypassModeRejectsByThePolicyOfNow) {
  int rows = 0, rejecting = 0;
  for (const json& row : golden("rejection_verl")) {
    if (!row.contains("bypass")) continue;
    std::vector<int64_t> start = {0};
    for (const json& of_row : row.at("per_token_logps"))
      start.push_back(start.back() + static_cast<int64_t>(of_row.size()));
    const auto now = flat(row.at("per_token_logps")), sampled = flat(row.at("old_per_token_logps"));
    const auto advantage = row.at("advantages").get<std::vector<double>>();
    ObjectiveOptions options = objective_options("vanilla");
    options.aggregation = aggregation(row.at("bypass").get<std::string>());
    const auto criteria =
        rejection_criteria(row.at("modes").get<std::string>(), row.at("thresholds").get<std::string>());
    const auto accepted = accepted_tokens(criteria, start, now, sampled, {}, nullptr);
    const auto weights = rejection_weights(accepted, start, {}, options.aggregation);
    BasicTokenBatch<double> batch;
    batch.start = start;
    batch.logprob = now;
    batch.old_logprob = sampled;
    batch.advantage = advantage;
    batch.policy_weight = weights;
    std::vector<double> gradient(now.size());
    const Normalizer normalizer = {.rows = static_cast<double>(advantage.size()),
                                   .tokens = static_cast<double>(now.size())};
    const auto result = evaluate<double>(options, batch, normalizer, gradient, {});
    EXPECT_NEAR(result.loss, row.at("expected").at("loss").get<double>(), 1e-7) << row;
    EXPECT_THAT(gradient, Pointwise(DoubleNear(1e-7), flat(row.at("expected").at("dlogp")))) << row;
    ++rows;
    rejecting += std::count(accepted.begin(), accepted.end(), 0) > 0;
  }
  EXPECT_EQ(rows, 12);
  EXPECT_GE(rejecting, 6);
}

TEST(Verl, RejectedTokensAndWhatIsToldOfThem) {
  int divergences = 0;
  std::map<std::string_view, int> some;  // rows in which a mode rejects some tokens and not all
  for (const json& row : golden("rejection_verl")) {
    if (row.contains("bypass")) continue;
    std::vector<int64_t> start = {0};
    for (const json& of_row : row.at("old")) start.push_back(start.back() + static_cast<int64_t>(of_row.size()));
    const auto criteria =
        rejection_criteria(row.at("modes").get<std::string>(), row.at("thresholds").get<std::string>());
    RejectionMetrics metrics;
    const auto accepted = accepted_tokens(criteria, start, flat(row.at("old")), flat(row.at("sampled")), {}, &metrics);
    EXPECT_THAT(std::vector<double>(accepted.begin(), accepted.end()), flat(row.at("accepted"))) << row;
    for (const auto& c : metrics.criteria) some[c.mode] += c.tokens.value() > 0 && c.tokens.value() < 1;
    if (row.contains("divergence")) {
      SamplerDivergence divergence;
      divergence.add(start, flat(row.at("old")), flat(row.at("sampled")), {});
      for (const auto& [name, value] : divergence.values()) {
        EXPECT_NEAR(value, row.at("divergence").at(name.substr(9)).get<double>(), 1e-6 * std::max(1.0, value))
            << name << row;
        ++divergences;
      }
    }
    if (!row.contains("metrics")) continue;
    std::map<std::string, double> told;
    for (const auto& [name, value] : metrics.values())
      told[name.substr(name.find('/', name.find('/') + 1) + 1)] = value;
    EXPECT_EQ(told.size(), row.at("metrics").size());
    // verl adds 1e-8 to counts that it divides by.
    for (const auto& [name, value] : row.at("metrics").items())
      EXPECT_NEAR(told.at(name), value.get<double>(), 2e-7) << row;
  }
  EXPECT_EQ(divergences, 11 * 6);
  some["binary_kl"] = 1;  // which verl has after 0.9.1: rejection_test.cpp
  for (const auto mode : rejection_modes()) EXPECT_GE(some[mode], 1) << mode;
}

}  // namespace
}  // namespace grpo::algorithm
