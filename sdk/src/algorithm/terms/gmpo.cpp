// GMPO: the ratio is the geometric mean of the sequence's token ratios, each clipped before the mean (row_ratio.hpp).
#include "terms/term.hpp"

namespace grpo::algorithm {

TermOutput gmpo_term(const ObjectiveOptions& options, const TermInput& in) {
  TermOutput out;
  out.loss = -in.advantage * in.ratio;
  out.d_log_ratio = -in.advantage * in.ratio;
  const bool clipped = gmpo_clips(options, in.token_log_ratio, in.advantage);
  out.clipped_low = clipped && in.advantage < 0;
  out.clipped_high = clipped && in.advantage > 0;
  return out;
}

}  // namespace grpo::algorithm
