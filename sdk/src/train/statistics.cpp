#include "grpo/sdk/train/statistics.hpp"

#include <grpo/sampler.h>

#include <cmath>

namespace grpo::train {

const char* finish_name(std::int32_t finish) {
  return finish == GRPO_FINISH_STOP ? "stop" : finish == GRPO_FINISH_CANCELLED ? "cancelled" : "length";
}

// A filter says which groups are trained on, and is not to change the curve of the reward.
void tell_of_all_drawn(const Rollout& rollout, algorithm::AdvantageStatistics& statistics) {
  if (rollout.rejected.empty()) return;
  std::vector<double> rewards;
  std::vector<std::int64_t> start{0};
  for (const Group* group : all_groups(rollout)) {
    for (const Sample& s : group->samples) rewards.push_back(s.reward);
    start.push_back(static_cast<std::int64_t>(rewards.size()));
  }
  algorithm::AdvantageStatistics of_all;
  algorithm::advantages(algorithm::AdvantageKind::none, rewards, start, 0, &of_all);
  statistics.reward_mean = of_all.reward_mean;
  statistics.reward_std = of_all.reward_std;
  statistics.frac_reward_zero_std = of_all.frac_reward_zero_std;
  statistics.zero_std_groups = of_all.zero_std_groups;
  statistics.not_applicable = of_all.not_applicable;
}

void add_distribution_metrics(const Rollout& rollout, report::Metrics& metrics) {
  std::vector<double> rewards, advantages;
  double weighted = 0, tokens = 0;
  for (const Group& group : rollout.groups)
    for (const Sample& s : group.samples) {
      rewards.push_back(s.reward);
      advantages.push_back(s.advantage);
      if (!std::isfinite(s.advantage)) continue;
      weighted += s.advantage * static_cast<double>(s.ids.size());
      tokens += static_cast<double>(s.ids.size());
    }
  metrics.set("num_completions", static_cast<double>(rewards.size()));
  if (const auto r = report::summarize(rewards); r.n > 0) {
    metrics.set("reward_min", r.min);
    metrics.set("reward_max", r.max);
  }
  if (const auto a = report::summarize(advantages); a.n > 0) {
    metrics.set("advantage/min", a.min);
    metrics.set("advantage/max", a.max);
  }
  if (tokens > 0) metrics.set("advantage/token_mean", weighted / tokens);
}

std::vector<report::SavedSample> saved_samples(const Rollout& rollout, const std::vector<WeightedReward>& rewards,
                                               std::int64_t prompts) {
  std::vector<report::SavedSample> saved;
  std::int64_t number = 0;
  for (const Group& group : rollout.groups) {
    if (number == prompts) break;
    std::int64_t index = 0;
    for (const Sample& s : group.samples) {
      report::SavedSample one;
      one.group = number;
      one.index = index++;
      one.row = group.prompt.row;
      one.prompt = group.prompt.text;
      one.completion = s.text;
      one.ground_truth = group.prompt.ground_truth;
      for (std::size_t r = 0; r < s.scores.size(); ++r) one.rewards.emplace_back(rewards[r].name, s.scores[r]);
      one.reward = s.reward;
      one.advantage = s.advantage;
      one.finish = finish_name(s.finish);
      one.tokens = static_cast<std::int64_t>(s.ids.size());
      saved.push_back(std::move(one));
    }
    ++number;
  }
  return saved;
}

}  // namespace grpo::train
