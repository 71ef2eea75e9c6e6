// rejection.hpp: which tokens leave the loss because the model and the sampler disagree on them too much: verl's
// rollout rejection sampling (Liu, Li et al. 2025, "When Speed Kills Stability") and AReaL's M2PO (Zheng et al. 2025).
//
// With log rho = old - sampled, within +-20, a token's divergence is
//
//   k1         -log rho
//   k2         (log rho)^2 / 2
//   k3         rho - 1 - log rho
//   binary_kl  the larger of the two KLs between the coins exp(old) and exp(sampled)
//   m2         (log rho)^2
//
// and a mode says what of it is held against the bounds: the token's own (token_k1, token_k2, token_k3, binary_kl), its
// completion's sum, mean or largest (seq_sum_k1, seq_mean_k3, seq_max_k2, ...), which takes the whole completion out;
// or m2, the mean over all tokens given: those with the largest leave until it holds. Of several criteria a token has
// to pass all. A token outside the mask, or whose sampled log-probability is NaN, counts as log rho = 0.
#ifndef GRPO_SDK_ALGORITHM_REJECTION_HPP
#define GRPO_SDK_ALGORITHM_REJECTION_HPP

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grpo/sdk/algorithm/objective.hpp"

namespace grpo::algorithm {

enum class Divergence { k1, k2, k3, binary_kl, m2 };
enum class RejectionLevel { token, sequence_sum, sequence_mean, sequence_max, batch_mean };

struct RejectionCriterion {
  std::string_view mode;  // its name, which is static
  Divergence divergence = Divergence::k1;
  RejectionLevel level = RejectionLevel::token;
  double lower = -std::numeric_limits<double>::infinity();  // of the divergence: kept is what lies within, both ends
  double upper = std::numeric_limits<double>::infinity();   // included
};

// verl's rollout_rs and rollout_rs_threshold: modes and thresholds, each separated by commas. One threshold for each
// mode, or one for all. A threshold is the upper bound, over 0; with k1 it is of the ratio sampled / old, and
// "lower_upper", or a single number u for "1/u_u". A mode named twice counts once. No modes: none. Throws grpo::Error
// that names the part and what it must be.
std::vector<RejectionCriterion> rejection_criteria(std::string_view modes, std::string_view thresholds);
std::vector<std::string_view> rejection_modes();

// Whether a criterion decides from all tokens of a step together.
bool of_whole_step(const RejectionCriterion& criterion);

// What was measured and rejected. Sums over tokens and rows, mergeable in any order.
struct RejectionMetrics {
  struct Criterion {
    std::string_view mode;
    Mean divergence;  // over tokens: that of a completion as often as it has tokens
    double min = std::numeric_limits<double>::infinity(), max = -std::numeric_limits<double>::infinity();
    Mean high, low;            // share over the upper, under the lower bound: of tokens, or of completions
    Mean tokens, completions;  // share that this criterion rejects; of completions: at least one token of
  };
  std::vector<Criterion> criteria;
  Mean tokens, completions;  // the same of all criteria together

  void merge(const RejectionMetrics& other);
  // sampling/rejection/{tokens,completions} and sampling/rejection/<mode>/{mean,min,max,high,low,tokens,completions}.
  // What was not measured is left out.
  std::vector<std::pair<std::string, double>> values() const;
};

// [tokens] 0: rejected; 1: passes all criteria, or is outside the mask. Rows and spans as in BasicTokenBatch; mask may
// be empty. metrics: added to; may be null. Throws grpo::Error when sizes differ. [any thread]
std::vector<uint8_t> accepted_tokens(std::span<const RejectionCriterion> criteria, std::span<const int64_t> start,
                                     std::span<const double> old_logprob, std::span<const double> sampled_logprob,
                                     std::span<const uint8_t> mask, RejectionMetrics* metrics);

// [tokens] Factors on the policy term that leave the rejected tokens out of it alone, while KL, entropy and what the
// step is divided by stay as they are: verl's bypass mode. Where a completion's tokens are averaged, the mean is of
// those that are left. accepted: of accepted_tokens, with the same start and mask.
std::vector<double> rejection_weights(std::span<const uint8_t> accepted, std::span<const int64_t> start,
                                      std::span<const uint8_t> mask, Aggregation aggregation);

}  // namespace grpo::algorithm

#endif
