// advantages.hpp: from rewards to advantages, group by group.
//
// A group is the completions of one prompt, and lies together: group g is samples [group_start[g], group_start[g + 1]).
//
//   kind    advantage                                  source
//   group   (R - group mean) / (group std + epsilon)   GRPO, Shao et al. 2024
//   none    R - group mean                             Dr. GRPO, Liu et al. 2025
//   batch   (R - group mean) / (batch std + epsilon)   REINFORCE++ baseline form, TRL's scale_rewards="batch"
//
// Standard deviations are unbiased (n - 1). The corners, which every implementation meets and many get wrong:
//   - a sample with no applicable reward (NaN) has advantage 0 and is outside every mean and deviation;
//   - a group of exactly one sample has mean 0 and std 1 (verl): it learns from the reward itself;
//   - a larger group with one applicable reward has nothing to compare: advantage 0;
//   - all applicable rewards of a group equal: advantage exactly 0, counted in frac_reward_zero_std.
#ifndef GRPO_SDK_ALGORITHM_ADVANTAGES_HPP
#define GRPO_SDK_ALGORITHM_ADVANTAGES_HPP

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace grpo::algorithm {

enum class AdvantageKind { group, none, batch };

// "group" ("grpo"), "none" ("dr_grpo") or "batch", as in TRL's scale_rewards. Throws grpo::Error that lists the names.
AdvantageKind advantage_kind(std::string_view name);
std::string_view name(AdvantageKind kind);

// What a step reports. Deviations are unbiased; a mean or deviation over too few samples is NaN (0 samples; 0 or 1).
struct AdvantageStatistics {
  double reward_mean = 0;           // metric "reward": over samples with an applicable reward
  double reward_std = 0;            // metric "reward_std"
  double advantage_mean = 0;        // metric "advantage/mean": over all samples
  double advantage_std = 0;         // metric "advantage/std"
  double frac_reward_zero_std = 0;  // share of samples in groups whose applicable rewards (at least two) are all equal
  int64_t zero_std_groups = 0;      // how many such groups
  int64_t not_applicable = 0;       // samples without an applicable reward
};

// rewards [samples], NaN: no applicable reward. group_start [groups + 1]: first 0, last samples, strictly rising.
// epsilon is added to the deviation (1e-4 in TRL, 1e-6 in verl). Returns [samples].
// Throws grpo::Error when group_start does not fit, a reward is infinite (the sample is named), or epsilon is negative.
// [any thread]
std::vector<double> advantages(AdvantageKind kind, std::span<const double> rewards,
                               std::span<const int64_t> group_start, double epsilon = 1e-4,
                               AdvantageStatistics* statistics = nullptr);

}  // namespace grpo::algorithm

#endif
