#include "grpo/sdk/algorithm/divergence.hpp"

#include <algorithm>
#include <cmath>

namespace grpo::algorithm {

void SamplerDivergence::add(std::span<const int64_t> start, std::span<const double> old_logprob,
                            std::span<const double> sampled_logprob, std::span<const uint8_t> mask) {
  constexpr double limit = 20;  // verl's, for chi-squared
  for (size_t row = 0; row + 1 < start.size(); ++row) {
    Mean model, sampler;
    for (auto t = static_cast<size_t>(start[row]); t < static_cast<size_t>(start[row + 1]); ++t) {
      if ((!mask.empty() && mask[t] == 0) || std::isnan(sampled_logprob[t])) continue;
      const double d = old_logprob[t] - sampled_logprob[t];
      kl.add(-d);
      kl_k3.add(std::expm1(d) - d);
      chi2.add(std::expm1(2 * std::clamp(d, -limit, limit)));
      model.add(old_logprob[t]);
      sampler.add(sampled_logprob[t]);
    }
    if (model.count == 0) continue;
    model_perplexity.add(std::exp(-model.value()));
    sampler_perplexity.add(std::exp(-sampler.value()));
    perplexity_ratio.add(std::exp(sampler.value() - model.value()));
  }
}

void SamplerDivergence::merge(const SamplerDivergence& other) {
  kl.merge(other.kl);
  kl_k3.merge(other.kl_k3);
  chi2.merge(other.chi2);
  model_perplexity.merge(other.model_perplexity);
  sampler_perplexity.merge(other.sampler_perplexity);
  perplexity_ratio.merge(other.perplexity_ratio);
}

std::vector<std::pair<std::string, double>> SamplerDivergence::values() const {
  if (kl.count == 0) return {};
  return {{"sampling/kl", kl.value()},
          {"sampling/kl_k3", kl_k3.value()},
          {"sampling/chi2", chi2.value()},
          {"sampling/perplexity/model", model_perplexity.value()},
          {"sampling/perplexity/sampler", sampler_perplexity.value()},
          {"sampling/perplexity/ratio", perplexity_ratio.value()}};
}

}  // namespace grpo::algorithm
