// metrics.hpp: the numbers of one step (docs/metrics.md).
#ifndef GRPO_SRC_TRAIN_STEP_METRICS_HPP
#define GRPO_SRC_TRAIN_STEP_METRICS_HPP

#include <cstdint>

#include "grpo/sdk/algorithm/advantages.hpp"
#include "grpo/sdk/report/metrics.hpp"
#include "grpo/sdk/train/collect.hpp"
#include "grpo/sdk/train/update.hpp"

namespace grpo::train {

void add_reward_metrics(const algorithm::AdvantageStatistics& statistics, report::Metrics& metrics);
void add_advantage_metrics(const algorithm::AdvantageStatistics& statistics, report::Metrics& metrics);
void add_update_metrics(const UpdateReport& update, report::Metrics& metrics);
// timing/* and throughput/* of rollout and update.
void add_speed_metrics(const Rollout& rollout, const UpdateReport& update, report::Metrics& metrics);

// Tokens of everything that was drawn, prompts counted once for each completion.
std::int64_t num_tokens(const Rollout& rollout);
double mean_completion_length(const Rollout& rollout);

}  // namespace grpo::train

#endif
