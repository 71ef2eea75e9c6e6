// Plain importance sampling: nothing holds the ratio but what is added to it (KL-Cov).
#include "terms/term.hpp"

namespace grpo::algorithm {

TermOutput importance_term(const ObjectiveOptions&, const TermInput& in) {
  TermOutput out;
  out.loss = -in.advantage * in.ratio;
  out.d_log_ratio = -in.advantage * in.ratio;
  return out;
}

}  // namespace grpo::algorithm
