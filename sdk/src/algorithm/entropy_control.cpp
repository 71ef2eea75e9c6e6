#include "grpo/sdk/algorithm/entropy_control.hpp"

#include <algorithm>
#include <cmath>

namespace grpo::algorithm {

EntropyBonus AdaptiveEntropy::next(const EntropyBonus& before, double measured) const {
  if (!std::isfinite(measured)) return before;
  const double coefficient = measured <= target ? std::min(before.coefficient + delta, maximum)
                                                : std::max(before.coefficient - delta, minimum);
  return {coefficient, measured};
}

double AdaptiveEntropy::applied(const EntropyBonus& bonus) const {
  return bonus.last_entropy <= target ? bonus.coefficient : 0;
}

}  // namespace grpo::algorithm
