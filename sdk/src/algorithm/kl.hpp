// kl.hpp: per-token estimators of the divergence from the reference (Schulman, "Approximating KL divergence").
#ifndef GRPO_SRC_ALGORITHM_KL_HPP
#define GRPO_SRC_ALGORITHM_KL_HPP

#include "grpo/sdk/algorithm/objective.hpp"

namespace grpo::algorithm {

struct KlValue {
  double value;
  double d_logprob;
};

// d = reference - logprob is clamped to +-options.log_ratio_limit, k3 to +-options.kl_limit.
KlValue kl_value(const ObjectiveOptions& options, double logprob, double reference_logprob);

}  // namespace grpo::algorithm

#endif
