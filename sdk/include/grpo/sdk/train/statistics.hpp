// statistics.hpp: what a step's rollout tells of itself, beyond means.
#ifndef GRPO_SDK_TRAIN_STATISTICS_HPP
#define GRPO_SDK_TRAIN_STATISTICS_HPP

#include <cstdint>
#include <vector>

#include "grpo/sdk/algorithm/advantages.hpp"
#include "grpo/sdk/report/metrics.hpp"
#include "grpo/sdk/report/samples.hpp"
#include "grpo/sdk/train/collect.hpp"
#include "grpo/sdk/train/scoring.hpp"

namespace grpo::train {

// "stop", "length" or "cancelled" for GRPO_FINISH_*.
const char* finish_name(std::int32_t finish);

// Makes what `statistics`, of the groups that are trained on, says of rewards the same of everything that was drawn.
void tell_of_all_drawn(const Rollout& rollout, algorithm::AdvantageStatistics& statistics);

// reward_min, reward_max, advantage/min, advantage/max (over completions), advantage/token_mean (each completion as
// often as it has tokens: the mean of the objective's weights), num_completions. What no completion has is left out.
void add_distribution_metrics(const Rollout& rollout, report::Metrics& metrics);

// The whole groups of the first `prompts` prompts, for samples.jsonl.
std::vector<report::SavedSample> saved_samples(const Rollout& rollout, const std::vector<WeightedReward>& rewards,
                                               std::int64_t prompts);

}  // namespace grpo::train

#endif
