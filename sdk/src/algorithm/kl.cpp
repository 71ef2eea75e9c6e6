#include "kl.hpp"

#include <algorithm>
#include <cmath>

#include "text.hpp"

namespace grpo::algorithm {

KlValue kl_value(const ObjectiveOptions& options, double logprob, double reference_logprob) {
  const double wanted = reference_logprob - logprob;
  const double d = std::clamp(wanted, -options.log_ratio_limit, options.log_ratio_limit);
  const double slope = d == wanted ? -1 : 0;  // dd / dlogprob
  const double k3 = std::min(std::expm1(d) - d, options.kl_limit);
  const double slope_of_k2 = -wanted;  // straight through: where the value is clamped it still pulls back
  switch (options.kl_estimator) {
    case KlEstimator::k1:
      return {-d, -slope};
    case KlEstimator::k2:
      return {d * d / 2, d * slope};
    case KlEstimator::k3:
      return {k3, k3 == options.kl_limit ? 0 : std::expm1(d) * slope};
    case KlEstimator::abs:
      return {std::abs(d), d > 0 ? slope : d < 0 ? -slope : 0};
    case KlEstimator::k1_plus:
      return {-d, slope_of_k2};
    case KlEstimator::k3_plus:
      return {k3, slope_of_k2};
    case KlEstimator::abs_plus:
      return {std::abs(d), slope_of_k2};
  }
  fail("KL estimator ", static_cast<int>(options.kl_estimator), " is not one of KlEstimator");
}

double kl_of_token(KlEstimator estimator, double logprob, double reference_logprob) {
  ObjectiveOptions options;
  options.kl_estimator = estimator;
  return kl_value(options, logprob, reference_logprob).value;
}

}  // namespace grpo::algorithm
