// Plain policy gradient (GPG, Chu et al. 2025): neither ratio nor clip.
#include "terms/term.hpp"

namespace grpo::algorithm {

TermOutput likelihood_term(const ObjectiveOptions&, const TermInput& in) {
  TermOutput out;
  out.loss = -in.advantage * in.logprob;
  out.d_logprob = -in.advantage;
  return out;
}

}  // namespace grpo::algorithm
