// DRO, as verl has it: the plain policy gradient, held back by the square of how far each token has moved.
#include <cmath>

#include "terms/term.hpp"

namespace grpo::algorithm {

TermOutput dro_term(const ObjectiveOptions& options, const TermInput& in) {
  const double log_ratio = in.token_log_ratio;
  const bool moves = std::abs(log_ratio) < options.log_ratio_limit;
  TermOutput out;
  out.loss = -in.advantage * in.logprob + options.dro_beta / 2 * log_ratio * log_ratio;
  out.d_logprob = -in.advantage + (moves ? options.dro_beta * log_ratio : 0);
  return out;
}

}  // namespace grpo::algorithm
