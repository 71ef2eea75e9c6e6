// advantages.hpp: from rewards to advantages, group by group.
//
// A group is the completions of one prompt, and lies together: group g is samples [group_start[g], group_start[g + 1]).
// In a group of n: m its mean, s its deviation, e epsilon. "over tokens": every sample counts as often as it has
// tokens.
//
//   kind                   advantage                                          source
//   group                  (R - m) / (s + e)                                  GRPO, Shao et al. 2024
//   none                   R - m                                              Dr. GRPO, Liu et al. 2025
//   batch                  (R - m) / (batch deviation + e)                    TRL's scale_rewards="batch"; Lite PPO
//   rloo                   R - mean of the others = (R - m) n / (n - 1)       RLOO, Ahmadian et al. 2024
//   opo                    R - mean of the group over tokens                  OPO, Hao et al. 2025
//   passk                  best of a group: (R - second best) / (s + e);      pass@k training, arXiv 2503.19595
//                          the others: 0
//   gdpo                   z = sum of w_k (R_k - m_k) / (s_k + e) over the    GDPO, arXiv 2601.05242; TRL's
//                          rewards; then (z - batch mean) / (deviation + e)   multi_objective_aggregation
//   reinforce_pp           R whitened over the tokens of the batch            REINFORCE++, Hu 2025
//   reinforce_pp_baseline  R - m whitened over the tokens of the batch        the same, with a baseline
//   gpg                    (R - m) x samples / samples with a reward other    GPG, Chu et al. 2025, as verl has it
//                          than 0, of the batch
//
// Whitened: (x - mean) / sqrt(variance + 1e-8), verl's masked_whiten. Deviations are unbiased (n - 1). The corners,
// which every implementation meets and many get wrong:
//   - a sample with no applicable reward (NaN) has advantage 0 and is outside every mean and deviation;
//   - a group of exactly one sample has mean 0 and std 1 (verl): it learns from the reward itself (passk: 0);
//   - a larger group with one applicable reward has nothing to compare: advantage 0 (but in reinforce_pp, which
//   compares
//     with the batch);
//   - all applicable rewards of a group equal: counted in frac_reward_zero_std, and where the group alone decides (the
//     first six kinds) advantage exactly 0.
#ifndef GRPO_SDK_ALGORITHM_ADVANTAGES_HPP
#define GRPO_SDK_ALGORITHM_ADVANTAGES_HPP

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace grpo::algorithm {

enum class AdvantageKind { group, none, batch, rloo, opo, passk, gdpo, reinforce_pp, reinforce_pp_baseline, gpg };

// A kind by its name above, or by TRL's or verl's: grpo, dr_grpo, grpo_passk, normalize_then_sum (gdpo),
// reinforce_plus_plus, reinforce_plus_plus_baseline. Throws grpo::Error that lists the names.
AdvantageKind advantage_kind(std::string_view name);
std::string_view name(AdvantageKind kind);

// Whether a sample's advantage depends on its own group alone, so that groups can be trained on as they come.
bool of_group_alone(AdvantageKind kind);

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

// All spans are the caller's, for the call.
struct AdvantageInput {
  std::span<const double> rewards;       // [samples] NaN: no applicable reward
  std::span<const int64_t> group_start;  // [groups + 1] first 0, last samples, strictly rising
  double epsilon = 1e-4;                 // added to deviations: 1e-4 in TRL, 1e-6 in verl
  std::span<const double> tokens;        // [samples] tokens of the completions, for "over tokens"; empty: one each
  // gdpo alone: the rewards one by one, not yet weighted.
  std::span<const double> scores;   // [samples x weights.size()] NaN: does not apply
  std::span<const double> weights;  // [rewards]
};

// Returns [samples]. Throws grpo::Error when sizes or group_start do not fit, a reward or score is infinite (the sample
// is named), epsilon is negative, or gdpo is without scores. [any thread]
std::vector<double> advantages(AdvantageKind kind, const AdvantageInput& input,
                               AdvantageStatistics* statistics = nullptr);

// The same for kinds that need no more. [any thread]
std::vector<double> advantages(AdvantageKind kind, std::span<const double> rewards,
                               std::span<const int64_t> group_start, double epsilon = 1e-4,
                               AdvantageStatistics* statistics = nullptr);

// REINFORCE++ token by token, which is needed when a penalty falls on tokens (KL in the reward) or gamma is not 1: the
// reward comes with the last token of a row, `penalty` is taken off every token, returns are the discounted sums from
// there to the end, whitened over all tokens of rows that have a reward.
//   rewards [rows], NaN: none, advantages 0. start [rows + 1]: row i is the tokens [start[i], start[i + 1]).
//   penalty [tokens], empty: none. gamma in [0, 1].
// Returns [tokens]. Throws grpo::Error naming what does not fit. [any thread]
std::vector<double> reinforce_pp_advantages(std::span<const double> rewards, std::span<const int64_t> start,
                                            std::span<const double> penalty, double gamma);

}  // namespace grpo::algorithm

#endif
