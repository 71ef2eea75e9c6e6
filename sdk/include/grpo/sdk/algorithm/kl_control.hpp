// kl_control.hpp: the weight of the KL to the reference, fixed or following the KL that is measured.
#ifndef GRPO_SDK_ALGORITHM_KL_CONTROL_HPP
#define GRPO_SDK_ALGORITHM_KL_CONTROL_HPP

namespace grpo::algorithm {

// Ziegler et al. 2019 (arXiv 1909.08593), as in verl: after every step the coefficient is multiplied by
// 1 + clip(KL / target - 1, -0.2, 0.2) samples / horizon. `horizon` is in completions.
struct AdaptiveKl {
  double target = 0.1;  // the KL to be held, nats a token
  double horizon = 10000;

  // The coefficient for the next step. Throws grpo::Error unless target and horizon are over 0; a KL that is not finite
  // leaves the coefficient as it is.
  double next(double coefficient, double measured_kl, double samples) const;
};

}  // namespace grpo::algorithm

#endif
