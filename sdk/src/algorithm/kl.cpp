#include "kl.hpp"

#include <algorithm>
#include <cmath>

namespace grpo::algorithm {

KlValue kl_value(const ObjectiveOptions& options, double logprob, double reference_logprob) {
  const double wanted = reference_logprob - logprob;
  const double d = std::clamp(wanted, -options.log_ratio_limit, options.log_ratio_limit);
  const double slope = d == wanted ? -1 : 0;  // dd / dlogprob
  switch (options.kl_estimator) {
    case KlEstimator::k1:
      return {-d, -slope};
    case KlEstimator::k2:
      return {d * d / 2, d * slope};
    case KlEstimator::k3:
      break;
  }
  const double k3 = std::expm1(d) - d;
  if (k3 > options.kl_limit) return {options.kl_limit, 0};
  return {k3, std::expm1(d) * slope};
}

}  // namespace grpo::algorithm
