// divergence.hpp: how far the sampler's distribution is from the model's, measured on what was sampled: verl's
// off-policy metrics.
//
// With d = old - sampled of a token: the KL of the sampler's distribution to the model's by its plain estimate, -d, and
// by exp(d) - d - 1, which is never negative; chi-squared, exp(2 d) - 1, which is the variance of importance weights;
// and the perplexity of each completion, exp(-mean log-probability), under either.
#ifndef GRPO_SDK_ALGORITHM_DIVERGENCE_HPP
#define GRPO_SDK_ALGORITHM_DIVERGENCE_HPP

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "grpo/sdk/algorithm/objective.hpp"

namespace grpo::algorithm {

// Sums, mergeable in any order.
struct SamplerDivergence {
  Mean kl, kl_k3, chi2;                                         // over tokens
  Mean model_perplexity, sampler_perplexity, perplexity_ratio;  // over completions with a token; model over sampler

  // Rows and spans as in BasicTokenBatch. A token outside the mask, or whose sampled log-probability is NaN, is left
  // out.
  void add(std::span<const int64_t> start, std::span<const double> old_logprob, std::span<const double> sampled_logprob,
           std::span<const uint8_t> mask);
  void merge(const SamplerDivergence& other);
  // sampling/{kl,kl_k3,chi2}, sampling/perplexity/{model,sampler,ratio}. What was not measured is left out.
  std::vector<std::pair<std::string, double>> values() const;
};

}  // namespace grpo::algorithm

#endif
