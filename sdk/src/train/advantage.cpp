#include "grpo/sdk/train/advantage.hpp"

#include <cmath>

#include "grpo/sdk/config/config.hpp"
#include "grpo/sdk/error.hpp"

namespace grpo::train {
namespace {

// A rollout's samples side by side.
struct Flat {
  std::vector<Sample*> samples;
  std::vector<std::int64_t> group_start{0}, token_start{0};
  std::vector<double> rewards, tokens, scores;

  explicit Flat(std::span<Group> groups) {
    for (Group& group : groups) {
      for (Sample& s : group.samples) {
        samples.push_back(&s);
        rewards.push_back(s.reward);
        tokens.push_back(static_cast<double>(s.ids.size()));
        scores.insert(scores.end(), s.scores.begin(), s.scores.end());
        token_start.push_back(token_start.back() + static_cast<std::int64_t>(s.ids.size()));
      }
      group_start.push_back(static_cast<std::int64_t>(samples.size()));
    }
  }
};

// What the KL takes off each token's reward; the report's share of it.
std::vector<double> penalty_of(const Flat& flat, const KlPenalty& kl, AdvantageReport& report) {
  std::vector<double> penalty;
  double rows = 0, kl_sum = 0, penalty_sum = 0;
  for (const Sample* s : flat.samples) {
    const std::size_t n = s->ids.size();
    if (s->old_logprob.size() != n || s->reference_logprob.size() != n)
      throw Error("a KL in the reward needs old and reference log-probabilities of every completion");
    double sum = 0;
    for (std::size_t t = 0; t < n; ++t) {
      const double value = algorithm::kl_of_token(kl.estimator, s->old_logprob[t], s->reference_logprob[t]);
      penalty.push_back(kl.coefficient * value);
      sum += value;
    }
    if (n == 0) continue;
    rows += 1;
    kl_sum += sum / static_cast<double>(n);
    penalty_sum += kl.coefficient * sum;
  }
  report.kl = rows > 0 ? kl_sum / rows : no_value;
  report.penalty = rows > 0 ? penalty_sum / rows : no_value;
  return penalty;
}

void assign_by_token(const Flat& flat, const AdvantageOptions& options, const std::vector<double>& penalty,
                     AdvantageReport& report) {
  const auto by_token = algorithm::reinforce_pp_advantages(flat.rewards, flat.token_start, penalty, options.gamma);
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < flat.samples.size(); ++i) {
    const auto begin = by_token.begin() + flat.token_start[i], end = by_token.begin() + flat.token_start[i + 1];
    flat.samples[i]->token_advantage.assign(begin, end);
    flat.samples[i]->advantage = begin == end ? 0 : *begin;
    for (auto at = begin; at != end; ++at) sum += *at, squares += *at * *at;
  }
  const auto n = static_cast<double>(by_token.size());
  report.statistics.advantage_mean = n > 0 ? sum / n : no_value;
  report.statistics.advantage_std = n > 1 ? std::sqrt((squares - sum * sum / n) / (n - 1)) : no_value;
}

}  // namespace

AdvantageOptions advantage_options(const config::Config& c) {
  const auto& a = c.algorithm;
  AdvantageOptions options;
  options.kind = algorithm::advantage_kind(a.advantage);
  options.epsilon = a.advantage_epsilon;
  options.gamma = a.gamma;
  if (a.kl_in_reward) options.kl = KlPenalty{a.kl_coefficient, algorithm::kl_estimator(a.kl_estimator)};
  return options;
}

AdvantageReport assign_advantages(std::span<Group> groups, const AdvantageOptions& options) {
  AdvantageReport report;
  const Flat flat(groups);
  const std::vector<double> penalty = options.kl ? penalty_of(flat, *options.kl, report) : std::vector<double>();
  std::vector<double> rewards = flat.rewards;
  for (std::size_t i = 0; i < rewards.size() && !penalty.empty(); ++i)
    for (auto t = flat.token_start[i]; t < flat.token_start[i + 1]; ++t)
      rewards[i] -= penalty[static_cast<std::size_t>(t)];

  algorithm::AdvantageInput input = {.rewards = rewards,
                                     .group_start = flat.group_start,
                                     .epsilon = options.epsilon,
                                     .tokens = flat.tokens,
                                     .scores = {},
                                     .weights = {}};
  if (options.kind == algorithm::AdvantageKind::gdpo) input.scores = flat.scores, input.weights = options.weights;
  const auto advantages = algorithm::advantages(options.kind, input, &report.statistics);
  for (std::size_t i = 0; i < advantages.size(); ++i) {
    flat.samples[i]->advantage = advantages[i];
    flat.samples[i]->token_advantage.clear();
  }
  if (!penalty.empty()) {  // of the rewards that a reward gave, told as without a penalty
    algorithm::AdvantageStatistics before;
    input.rewards = flat.rewards;
    algorithm::advantages(algorithm::AdvantageKind::none, input, &before);
    report.statistics.reward_mean = before.reward_mean;
    report.statistics.reward_std = before.reward_std;
    report.statistics.zero_std_groups = before.zero_std_groups;
    report.statistics.frac_reward_zero_std = before.frac_reward_zero_std;
  }
  if (options.kind == algorithm::AdvantageKind::reinforce_pp && (!penalty.empty() || options.gamma != 1))
    assign_by_token(flat, options, penalty, report);
  return report;
}

}  // namespace grpo::train
