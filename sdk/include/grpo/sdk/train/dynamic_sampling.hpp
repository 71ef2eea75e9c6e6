// dynamic_sampling.hpp: a step trains on groups that have something to teach; further prompts are drawn in place of the
// others (DAPO, Yu et al. 2025, section 3.2).
//
//   varied   the rewards of a group are not all equal         verl: filter_groups
//   mean     low < mean of the group's rewards < high         EasyR1: online_filtering, filter_low, filter_high
//
// Main idea. The first draw is a step's prompts. What is missing after it is drawn again, as many prompts as the share
// kept so far makes likely, at most a step's, until the step is full or max_resamples is reached. Groups stay whole and
// in the order of their prompts; nothing of a draw is kept for the next step, so the place in the data after the step
// is all that a resumed run needs, and draws depend on the place alone.
#ifndef GRPO_SDK_TRAIN_DYNAMIC_SAMPLING_HPP
#define GRPO_SDK_TRAIN_DYNAMIC_SAMPLING_HPP

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "grpo/sdk/train/collect.hpp"

namespace grpo::train {

struct DynamicSampling {
  enum class Keep { all, varied, mean };
  Keep keep = Keep::all;
  double low = 0, high = 1;                // with Keep::mean
  std::optional<std::size_t> reward = {};  // number of the reward that is looked at; none: their sum, Sample::reward
  std::int64_t prompts = 1;                // of a step
  std::int64_t max_resamples = 0;
};

// The section `algorithm`. Throws grpo::Error: a reward that is not there, bounds the wrong way round, groups of one.
DynamicSampling dynamic_sampling_of(const config::Config& config);

// Whether the group teaches something. Samples without a score are not looked at; a group that has none is not kept.
bool keeps(const DynamicSampling& options, const Group& group);

// Draws, scores and shapes `prompts` new ones; `first`: how many this step has drawn before them.
using Draw = std::function<Rollout(std::int64_t prompts, std::int64_t first)>;

// The rollout of a step: groups has at most options.prompts, the others are in rejected. Times and errors are summed,
// rewards/<name>/* are over everything drawn. reward_names: in the order of Sample::scores.
Rollout draw_step(const DynamicSampling& options, const std::vector<std::string>& reward_names, const Draw& draw);

// dynamic_sampling/{prompts,resamples,kept_share}; nothing with Keep::all.
void add_dynamic_sampling_metrics(const DynamicSampling& options, const Rollout& rollout, report::Metrics& metrics);

}  // namespace grpo::train

#endif
