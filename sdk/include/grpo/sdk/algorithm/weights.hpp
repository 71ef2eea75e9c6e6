// weights.hpp: factors on the policy term that are computed before the objective and carry no gradient.
//
// They multiply BasicTokenBatch::policy_weight. The KL term and the entropy bonus are not touched by them (but see
// top_entropy_mask). Each works on the arrays of a token batch; see objective.hpp for their shapes.
#ifndef GRPO_SDK_ALGORITHM_WEIGHTS_HPP
#define GRPO_SDK_ALGORITHM_WEIGHTS_HPP

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace grpo::algorithm {

enum class RolloutCorrection {
  token_truncate,     // rho_t = exp(old - sampled), clamped to [min, max]
  token_mask,         // rho_t, or 0 outside [min, max]
  sequence_truncate,  // rho of the whole row (product over its masked tokens), clamped
  sequence_mask,      // the same, or 0 outside
};

// TRL's vllm_importance_sampling_mode, or verl's rollout_is: token, sequence, which truncate. Throws grpo::Error that
// lists the names.
RolloutCorrection rollout_correction(std::string_view name);

// rho for every token [tokens]: what separates the engine that sampled from the one that trains. A token outside the
// mask, or whose sampled log-probability is NaN, counts as log rho = 0. [any thread]
std::vector<double> rollout_ratio(RolloutCorrection kind, std::optional<double> min, std::optional<double> max,
                                  std::span<const int64_t> start, std::span<const double> old_logprob,
                                  std::span<const double> sampled_logprob, std::span<const uint8_t> mask);

// What statistics of rollout_ratio are of: the ratios of masked tokens, or with a kind of whole rows one of each row
// that has such a token. Their mean is what verl's rollout_is_batch_normalize divides by. [any thread]
std::vector<double> ratios_to_tell(RolloutCorrection kind, std::span<const int64_t> start,
                                   std::span<const double> ratio, std::span<const uint8_t> mask);

// Off-policy sequence masking (DeepSeek-V3.2): 0 for the tokens of a row with a negative advantage whose mean
// (sampled - logprob) over masked tokens exceeds `threshold`, 1 elsewhere. [any thread]
std::vector<double> off_policy_mask(double threshold, std::span<const int64_t> start, std::span<const double> logprob,
                                    std::span<const double> sampled_logprob, std::span<const double> advantage,
                                    std::span<const uint8_t> mask);

// Entropy at linear-interpolated quantile `q` of the masked tokens; NaN when there is none. With several micro batches
// or ranks, gather their entropies first: the threshold is one for the optimizer step. [any thread]
double entropy_quantile(std::span<const double> entropy, std::span<const uint8_t> mask, double q);

// 1 for masked tokens with entropy >= threshold (Wang et al. 2025, "high-entropy minority tokens"), for policy_weight
// and entropy_mask. [any thread]
std::vector<uint8_t> top_entropy_mask(std::span<const double> entropy, std::span<const uint8_t> mask, double threshold);

}  // namespace grpo::algorithm

#endif
