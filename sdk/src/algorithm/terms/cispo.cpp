// CISPO (MiniMax-M1): the importance weight is clipped and held fixed, so every token keeps a gradient.
#include <algorithm>

#include "terms/term.hpp"

namespace grpo::algorithm {

TermOutput cispo_term(const ObjectiveOptions& options, const TermInput& in) {
  const double weight = std::clamp(in.ratio, options.cispo_min_ratio, options.cispo_max_ratio);
  TermOutput out;
  out.loss = -weight * in.advantage * in.logprob;
  out.d_logprob = -weight * in.advantage;
  out.clipped_low = in.ratio < options.cispo_min_ratio && in.advantage < 0;
  out.clipped_high = in.ratio > options.cispo_max_ratio && in.advantage > 0;
  return out;
}

}  // namespace grpo::algorithm
