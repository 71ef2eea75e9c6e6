// PPO's clipped surrogate, with separate bounds (DAPO's clip-higher) and the two-sided bound of INTELLECT-2.
#include <algorithm>

#include "terms/term.hpp"

namespace grpo::algorithm {

TermOutput clip_term(const ObjectiveOptions& options, const TermInput& in) {
  const double low = 1 - options.clip_low;
  const double high = 1 + options.clip_high;
  const double bound = options.delta.value_or(std::numeric_limits<double>::infinity());
  const double free = std::min(in.ratio, bound);
  const double clipped = std::clamp(in.ratio, low, high);

  // The pessimistic of the two: where the clipped one is chosen and clipping acts, there is no gradient.
  const bool take_free = free * in.advantage <= clipped * in.advantage;
  const bool moves = take_free ? in.ratio <= bound : (in.ratio >= low && in.ratio <= high);
  TermOutput out;
  out.loss = -in.advantage * (take_free ? free : clipped);
  out.d_log_ratio = moves ? -in.advantage * in.ratio : 0;
  out.clipped_low = free < low && in.advantage < 0;
  out.clipped_high = free > high && in.advantage > 0;
  return out;
}

}  // namespace grpo::algorithm
