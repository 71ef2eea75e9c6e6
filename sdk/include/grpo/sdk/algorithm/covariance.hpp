// covariance.hpp: the tokens that Clip-Cov and KL-Cov act on (Cui et al. 2025, "The Entropy Mechanism of Reinforcement
// Learning for Reasoning Language Models").
//
// With means over the masked tokens of the whole optimizer step, cov_t = (A_t - mean A) (logp_t - mean logp). A likely
// token with a high advantage has a large one, and raising it further is what takes the entropy away.
//
//   clip   max(1, floor(clip_cov_ratio x tokens)) tokens drawn at random among those with clip_cov_low < cov <
//          clip_cov_high that PPO's clip leaves alone, or all of them if they are fewer
//   kl     the max(1, floor(kl_cov_ratio x tokens)) tokens with the largest cov; among equals the first
#ifndef GRPO_SDK_ALGORITHM_COVARIANCE_HPP
#define GRPO_SDK_ALGORITHM_COVARIANCE_HPP

#include <cstdint>
#include <span>
#include <vector>

#include "grpo/sdk/algorithm/objective.hpp"

namespace grpo::algorithm {

// All [tokens], of the whole optimizer step; values of masked tokens are not looked at.
struct CovarianceInput {
  std::span<const double> logprob;      // now
  std::span<const double> old_logprob;  // at the start of the step; empty: as logprob
  std::span<const double> advantage;
  std::span<const uint8_t> mask;  // empty: all ones
  uint64_t key = 0;               // of the draw (grpo/random.h)
};

// [tokens] 1: chosen. None where options.covariance is none. Throws grpo::Error when sizes differ. [any thread]
std::vector<uint8_t> covariance_tokens(const ObjectiveOptions& options, const CovarianceInput& input);

}  // namespace grpo::algorithm

#endif
