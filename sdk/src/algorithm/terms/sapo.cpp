// SAPO: a sigmoid gate instead of a hard clip. At r = 1 its slope is that of plain importance sampling.
#include <cmath>

#include "terms/term.hpp"

namespace grpo::algorithm {

TermOutput sapo_term(const ObjectiveOptions& options, const TermInput& in) {
  const double tau = in.advantage > 0 ? options.sapo_temperature_positive : options.sapo_temperature_negative;
  const double gate = 1 / (1 + std::exp(-tau * (in.ratio - 1)));
  TermOutput out;
  out.loss = -in.advantage * gate * 4 / tau;
  out.d_log_ratio = -in.advantage * 4 * gate * (1 - gate) * in.ratio;
  return out;
}

}  // namespace grpo::algorithm
