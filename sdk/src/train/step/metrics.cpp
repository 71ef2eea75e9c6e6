#include "step/metrics.hpp"

#include <algorithm>

namespace grpo::train {

void add_reward_metrics(const algorithm::AdvantageStatistics& s, report::Metrics& m) {
  m.set("reward", s.reward_mean);
  m.set("reward_std", s.reward_std);
  m.set("frac_reward_zero_std", s.frac_reward_zero_std);
}

void add_advantage_metrics(const algorithm::AdvantageStatistics& s, report::Metrics& m) {
  m.set("advantage/mean", s.advantage_mean);
  m.set("advantage/std", s.advantage_std);
}

void add_update_metrics(const UpdateReport& update, report::Metrics& m) {
  for (const auto& [name, value] : update.objective.values()) m.set(name, value);
  for (const auto& [name, value] : update.rejection.values()) m.set(name, value);
  for (const auto& [name, value] : update.divergence.values()) m.set(name, value);
  m.set("grad_norm", update.grad_norm);
  m.set("learning_rate", update.learning_rate);
}

void add_speed_metrics(const Rollout& rollout, const UpdateReport& update, report::Metrics& m) {
  m.set("timing/rollout", rollout.seconds);
  m.set("timing/reward", rollout.scores.waited);
  m.set("timing/old_logp", update.old_logp_seconds);
  m.set("timing/reference", update.reference_seconds);
  m.set("timing/update", update.update_seconds);
  m.set("timing/optimizer", update.optimizer_seconds);
  const auto rate = [](double tokens, double seconds) { return seconds > 0 ? tokens / seconds : 0; };
  m.set("throughput/rollout_tokens_per_second", rate(static_cast<double>(rollout.completion_tokens), rollout.seconds));
  m.set("throughput/update_tokens_per_second", rate(static_cast<double>(update.tokens), update.update_seconds));
}

std::int64_t num_tokens(const Rollout& rollout) {
  std::int64_t tokens = 0;
  for (const Group* group : all_groups(rollout))
    for (const Sample& sample : group->samples)
      tokens += static_cast<std::int64_t>(group->prompt.ids.size() + sample.ids.size());
  return tokens;
}

double mean_completion_length(const Rollout& rollout) {
  const auto completions = std::max<std::int64_t>(num_completions(rollout), 1);
  return static_cast<double>(rollout.completion_tokens) / static_cast<double>(completions);
}

}  // namespace grpo::train
