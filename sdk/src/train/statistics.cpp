#include "grpo/sdk/train/statistics.hpp"

#include <grpo/sampler.h>

#include <cmath>

namespace grpo::train {
namespace {

const char* finish_name(std::int32_t finish) {
  return finish == GRPO_FINISH_STOP ? "stop" : finish == GRPO_FINISH_CANCELLED ? "cancelled" : "length";
}

}  // namespace

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
