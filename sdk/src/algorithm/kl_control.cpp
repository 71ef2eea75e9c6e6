#include "grpo/sdk/algorithm/kl_control.hpp"

#include <algorithm>
#include <cmath>

#include "text.hpp"

namespace grpo::algorithm {

double AdaptiveKl::next(double coefficient, double measured_kl, double samples) const {
  if (!(target > 0) || !(horizon > 0))
    fail("adaptive KL: target is ", target, ", horizon ", horizon, "; both must be over 0");
  if (!std::isfinite(measured_kl)) return coefficient;
  const double error = std::clamp(measured_kl / target - 1, -0.2, 0.2);
  return coefficient * std::max(0.0, 1 + error * samples / horizon);
}

}  // namespace grpo::algorithm
