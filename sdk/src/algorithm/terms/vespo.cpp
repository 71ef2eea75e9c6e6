// VESPO: a gamma-shaped weight phi(w) = exp(lambda) w^k exp(-lambda w) on the whole sequence's importance weight w,
// held fixed. phi(1) = 1.
#include <algorithm>
#include <cmath>

#include "terms/term.hpp"

namespace grpo::algorithm {

TermOutput vespo_term(const ObjectiveOptions& options, const TermInput& in) {
  const bool positive = in.advantage >= 0;
  const double k = positive ? options.vespo_k_positive : options.vespo_k_negative;
  const double lambda = std::max(positive ? options.vespo_lambda_positive : options.vespo_lambda_negative, 1e-4);
  const double log_w = std::clamp(in.sequence_log_weight, std::log(1e-8), 20.0);
  const double phi = std::exp(lambda + k * log_w - lambda * std::exp(log_w));
  TermOutput out;
  out.loss = -phi * in.advantage * in.logprob;
  out.d_logprob = -phi * in.advantage;
  return out;
}

}  // namespace grpo::algorithm
