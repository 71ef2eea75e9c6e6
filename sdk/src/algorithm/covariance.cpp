#include "grpo/sdk/algorithm/covariance.hpp"

#include <grpo/random.h>

#include <algorithm>
#include <cmath>

#include "text.hpp"

namespace grpo::algorithm {

namespace {

bool clipped_by_ppo(const ObjectiveOptions& options, double log_ratio, double advantage) {
  const double r = std::exp(log_ratio);
  return -advantage * std::clamp(r, 1 - options.clip_low, 1 + options.clip_high) > -advantage * r;
}

// The first `n` after the order that `before` gives.
template <class Before>
void keep_first(std::vector<size_t>& tokens, size_t n, const Before& before) {
  n = std::min(n, tokens.size());
  std::partial_sort(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(n), tokens.end(), before);
  tokens.resize(n);
}

}  // namespace

std::vector<uint8_t> covariance_tokens(const ObjectiveOptions& options, const CovarianceInput& in) {
  const size_t n = in.logprob.size();
  const auto check_size = [n](const char* name, size_t size, bool may_be_empty) {
    if (size != n && !(may_be_empty && size == 0))
      fail("covariance: ", name, " has ", size, " values for ", n, " tokens");
  };
  check_size("advantage", in.advantage.size(), false);
  check_size("old_logprob", in.old_logprob.size(), true);
  check_size("mask", in.mask.size(), true);
  std::vector<uint8_t> chosen(n, 0);
  if (options.covariance == CovarianceControl::none) return chosen;

  std::vector<size_t> tokens;
  double advantage = 0, logprob = 0;
  for (size_t t = 0; t < n; ++t) {
    if (!in.mask.empty() && in.mask[t] == 0) continue;
    tokens.push_back(t);
    advantage += in.advantage[t];
    logprob += in.logprob[t];
  }
  if (tokens.empty()) return chosen;
  const auto count = static_cast<double>(tokens.size());
  advantage /= count;
  logprob /= count;
  const auto covariance = [&](size_t t) { return (in.advantage[t] - advantage) * (in.logprob[t] - logprob); };

  if (options.covariance == CovarianceControl::kl) {
    keep_first(tokens, static_cast<size_t>(std::max(1.0, options.kl_cov_ratio * count)), [&](size_t a, size_t b) {
      const double of_a = covariance(a), of_b = covariance(b);
      return of_a != of_b ? of_a > of_b : a < b;
    });
  } else {
    std::erase_if(tokens, [&](size_t t) {
      const double log_ratio = in.old_logprob.empty() ? 0 : in.logprob[t] - in.old_logprob[t];
      return !(covariance(t) > options.clip_cov_low && covariance(t) < options.clip_cov_high) ||
             clipped_by_ppo(options, log_ratio, in.advantage[t]);
    });
    const auto draw = [&](size_t t) { return grpo_random_uniform(in.key, t); };
    keep_first(tokens, static_cast<size_t>(std::max(1.0, options.clip_cov_ratio * count)),
               [&](size_t a, size_t b) { return draw(a) < draw(b); });
  }
  for (size_t t : tokens) chosen[t] = 1;
  return chosen;
}

}  // namespace grpo::algorithm
