// Which parts a name stands for: the one table to extend when an objective is added.
#include <array>
#include <cmath>

#include "grpo/sdk/algorithm/advantages.hpp"
#include "grpo/sdk/algorithm/objective.hpp"
#include "grpo/sdk/algorithm/schedule.hpp"
#include "grpo/sdk/algorithm/weights.hpp"
#include "terms/term.hpp"
#include "text.hpp"

namespace grpo::algorithm {

namespace {

struct Parts {
  PolicyTerm term;
  RatioLevel ratio;
  Aggregation aggregation;
  double clip_low = 0.2, clip_high = 0.2;
  CovarianceControl covariance = CovarianceControl::none;
};

constexpr size_t own_objectives = 17;  // the others are verl's names
constexpr std::array<Named<Parts>, own_objectives + 2> objectives = {{
    {"grpo", {PolicyTerm::clip, RatioLevel::token, Aggregation::sequence_mean}},
    {"bnpo", {PolicyTerm::clip, RatioLevel::token, Aggregation::token_mean}},
    {"dapo", {PolicyTerm::clip, RatioLevel::token, Aggregation::token_mean}},
    {"dr_grpo", {PolicyTerm::clip, RatioLevel::token, Aggregation::fixed_length}},
    {"gspo", {PolicyTerm::clip, RatioLevel::sequence, Aggregation::sequence_mean, 3e-4, 4e-4}},
    {"gspo_token", {PolicyTerm::clip, RatioLevel::sequence_token, Aggregation::sequence_mean, 3e-4, 4e-4}},
    {"cispo", {PolicyTerm::cispo, RatioLevel::token, Aggregation::token_mean}},
    {"sapo", {PolicyTerm::sapo, RatioLevel::token, Aggregation::sequence_mean}},
    {"luspo", {PolicyTerm::clip, RatioLevel::sequence, Aggregation::sequence_sum, 2e-3, 2.5e-3}},
    {"vespo", {PolicyTerm::vespo, RatioLevel::token, Aggregation::token_mean}},
    {"gmpo", {PolicyTerm::gmpo, RatioLevel::sequence, Aggregation::sequence_mean, 0.4, 0.4}},
    {"clip_cov", {PolicyTerm::clip, RatioLevel::token, Aggregation::token_mean, 0.2, 0.2, CovarianceControl::clip}},
    {"kl_cov", {PolicyTerm::importance, RatioLevel::token, Aggregation::token_mean, 0.2, 0.2, CovarianceControl::kl}},
    {"dppo_tv", {PolicyTerm::dppo_tv, RatioLevel::token, Aggregation::fixed_length, 0.15, 0.15}},
    {"dppo_kl", {PolicyTerm::dppo_kl, RatioLevel::token, Aggregation::fixed_length, 0.05, 0.05}},
    {"gpg", {PolicyTerm::likelihood, RatioLevel::token, Aggregation::token_mean}},
    {"dro", {PolicyTerm::dro, RatioLevel::token, Aggregation::token_mean}},
    {"geo_mean", {PolicyTerm::gmpo, RatioLevel::sequence, Aggregation::sequence_mean, 0.4, 0.4}},
    {"vanilla", {PolicyTerm::clip, RatioLevel::token, Aggregation::token_mean}},
}};

constexpr std::array<Named<KlEstimator>, 14> estimators = {{
    {"k1", KlEstimator::k1},
    {"k2", KlEstimator::k2},
    {"k3", KlEstimator::k3},
    {"abs", KlEstimator::abs},
    {"k1+", KlEstimator::k1_plus},
    {"k3+", KlEstimator::k3_plus},
    {"abs+", KlEstimator::abs_plus},
    {"k2+", KlEstimator::k2},  // its own gradient already
    {"kl", KlEstimator::k1},
    {"kl+", KlEstimator::k1_plus},
    {"mse", KlEstimator::k2},
    {"mse+", KlEstimator::k2},
    {"low_var_kl", KlEstimator::k3},
    {"low_var_kl+", KlEstimator::k3_plus},
}};

constexpr std::array<Named<RatioLevel>, 3> levels = {{
    {"token", RatioLevel::token},
    {"sequence", RatioLevel::sequence},
    {"sequence_token", RatioLevel::sequence_token},
}};

constexpr std::array<Named<Aggregation>, 8> aggregations = {{
    {"sequence_mean", Aggregation::sequence_mean},
    {"token_mean", Aggregation::token_mean},
    {"fixed_length", Aggregation::fixed_length},
    {"sequence_sum", Aggregation::sequence_sum},
    {"token_sum", Aggregation::token_sum},
    {"seq_mean_token_mean", Aggregation::sequence_mean},
    {"seq_mean_token_sum", Aggregation::sequence_sum},
    {"seq_mean_token_sum_norm", Aggregation::fixed_length},
}};

constexpr std::array<Named<AdvantageKind>, 16> advantage_kinds = {{
    {"group", AdvantageKind::group},
    {"none", AdvantageKind::none},
    {"batch", AdvantageKind::batch},
    {"rloo", AdvantageKind::rloo},
    {"opo", AdvantageKind::opo},
    {"passk", AdvantageKind::passk},
    {"gdpo", AdvantageKind::gdpo},
    {"reinforce_pp", AdvantageKind::reinforce_pp},
    {"reinforce_pp_baseline", AdvantageKind::reinforce_pp_baseline},
    {"gpg", AdvantageKind::gpg},
    {"grpo", AdvantageKind::group},
    {"dr_grpo", AdvantageKind::none},
    {"grpo_passk", AdvantageKind::passk},
    {"normalize_then_sum", AdvantageKind::gdpo},
    {"reinforce_plus_plus", AdvantageKind::reinforce_pp},
    {"reinforce_plus_plus_baseline", AdvantageKind::reinforce_pp_baseline},
}};

constexpr std::array<Named<ScheduleKind>, 5> schedules = {{
    {"constant", ScheduleKind::constant},
    {"linear", ScheduleKind::linear},
    {"cosine", ScheduleKind::cosine},
    {"constant_with_warmup", ScheduleKind::constant},
    {"cosine_with_min_lr", ScheduleKind::cosine},
}};

constexpr std::array<Named<RolloutCorrection>, 6> corrections = {{
    {"token_truncate", RolloutCorrection::token_truncate},
    {"token_mask", RolloutCorrection::token_mask},
    {"sequence_truncate", RolloutCorrection::sequence_truncate},
    {"sequence_mask", RolloutCorrection::sequence_mask},
    {"token", RolloutCorrection::token_truncate},
    {"sequence", RolloutCorrection::sequence_truncate},
}};

template <class Value, size_t n>
std::span<const Named<Value>> all(const std::array<Named<Value>, n>& table) {
  return table;
}

}  // namespace

TermUnit term_unit(PolicyTerm term) {
  switch (term) {
    case PolicyTerm::clip:
      return {.evaluate = clip_term, .clips = true};
    case PolicyTerm::cispo:
      return {.evaluate = cispo_term, .clips = true};
    case PolicyTerm::sapo:
      return {.evaluate = sapo_term};
    case PolicyTerm::vespo:
      return {.evaluate = vespo_term, .reads_sequence_weight = true};
    case PolicyTerm::gmpo:
      return {.evaluate = gmpo_term, .clips = true};
    case PolicyTerm::importance:
      return {.evaluate = importance_term};
    case PolicyTerm::dppo_tv:
      return {.evaluate = dppo_tv_term, .clips = true};
    case PolicyTerm::dppo_kl:
      return {.evaluate = dppo_kl_term, .clips = true};
    case PolicyTerm::dro:
      return {.evaluate = dro_term};
    case PolicyTerm::likelihood:
      return {.evaluate = likelihood_term};
  }
  fail("policy term ", static_cast<int>(term), " is not one of PolicyTerm");
}

ObjectiveOptions objective_options(std::string_view name) {
  const Parts parts = find_named("objective", name, all(objectives));
  ObjectiveOptions options;
  options.term = parts.term;
  options.ratio = parts.ratio;
  options.aggregation = parts.aggregation;
  options.clip_low = parts.clip_low;
  options.clip_high = parts.clip_high;
  options.covariance = parts.covariance;
  return options;
}

std::vector<std::string_view> objective_names() {
  std::vector<std::string_view> names;
  for (size_t i = 0; i < own_objectives; ++i) names.push_back(objectives[i].first);
  return names;
}

KlEstimator kl_estimator(std::string_view name) { return find_named("KL estimator", name, all(estimators)); }
RatioLevel ratio_level(std::string_view name) { return find_named("ratio level", name, all(levels)); }
Aggregation aggregation(std::string_view name) { return find_named("aggregation", name, all(aggregations)); }
AdvantageKind advantage_kind(std::string_view name) { return find_named("advantage", name, all(advantage_kinds)); }
ScheduleKind schedule_kind(std::string_view name) { return find_named("schedule", name, all(schedules)); }
RolloutCorrection rollout_correction(std::string_view name) {
  return find_named("rollout correction", name, all(corrections));
}

std::string_view name(KlEstimator estimator) { return name_of(estimator, all(estimators)); }
std::string_view name(AdvantageKind kind) { return name_of(kind, all(advantage_kinds)); }
std::string_view name(ScheduleKind kind) { return name_of(kind, all(schedules)); }

void check(const ObjectiveOptions& options) {
  const auto require = [](bool good, std::string_view option, double value, std::string_view range) {
    if (!good) fail("objective option ", option, " is ", value, "; it must be ", range);
  };
  const auto not_negative = [&](std::string_view option, double value) {
    require(value >= 0 && std::isfinite(value), option, value, "a finite number, not negative");
  };
  const auto positive = [&](std::string_view option, double value) {
    require(value > 0 && std::isfinite(value), option, value, "a finite number over 0");
  };
  require(options.clip_low >= 0 && options.clip_low <= 1, "clip_low", options.clip_low, "in [0, 1]");
  not_negative("clip_high", options.clip_high);
  if (options.delta) positive("delta", *options.delta);
  require(std::isfinite(options.kl_coefficient), "kl_coefficient", options.kl_coefficient, "finite");
  require(std::isfinite(options.entropy_coefficient), "entropy_coefficient", options.entropy_coefficient, "finite");
  not_negative("cispo_min_ratio", options.cispo_min_ratio);
  require(options.cispo_max_ratio >= options.cispo_min_ratio, "cispo_max_ratio", options.cispo_max_ratio,
          "at least cispo_min_ratio");
  positive("sapo_temperature_positive", options.sapo_temperature_positive);
  positive("sapo_temperature_negative", options.sapo_temperature_negative);
  if (options.term == PolicyTerm::gmpo && options.ratio != RatioLevel::sequence)
    fail("the objective gmpo has a ratio of its own, the sequence's geometric mean: leave the ratio at \"sequence\"");
  if ((options.term == PolicyTerm::dppo_tv || options.term == PolicyTerm::dppo_kl) &&
      options.ratio != RatioLevel::token)
    fail(
        "the objectives dppo_tv and dppo_kl bound what a single token's probability does: leave the ratio at "
        "\"token\"");
  require(options.clip_cov_ratio > 0 && options.clip_cov_ratio <= 1, "clip_cov_ratio", options.clip_cov_ratio,
          "in (0, 1]");
  require(options.clip_cov_high >= options.clip_cov_low, "clip_cov_high", options.clip_cov_high,
          "at least clip_cov_low");
  require(options.kl_cov_ratio > 0 && options.kl_cov_ratio <= 1, "kl_cov_ratio", options.kl_cov_ratio, "in (0, 1]");
  not_negative("kl_cov_coefficient", options.kl_cov_coefficient);
  not_negative("dro_beta", options.dro_beta);
  require(options.log_ratio_limit > 0, "log_ratio_limit", options.log_ratio_limit, "over 0");
  require(options.kl_limit > 0, "kl_limit", options.kl_limit, "over 0");
}

}  // namespace grpo::algorithm
