// entropy_control.hpp: the weight of the entropy bonus, following the entropy that is measured.
#ifndef GRPO_SDK_ALGORITHM_ENTROPY_CONTROL_HPP
#define GRPO_SDK_ALGORITHM_ENTROPY_CONTROL_HPP

#include <limits>

namespace grpo::algorithm {

// Where an adaptive bonus is between two optimizer steps. Without a measurement there is no bonus.
struct EntropyBonus {
  double coefficient = 0;
  double last_entropy = std::numeric_limits<double>::infinity();  // of the optimizer step before, nats a token
};

// Skywork-OR1 (arXiv 2505.22312), as in TRL's use_adaptive_entropy: after every optimizer step the coefficient goes up
// by `delta` if the entropy was at or below `target`, else down by it; and it acts only in a step that follows one with
// an entropy at or below `target`.
struct AdaptiveEntropy {
  double target = 0.2;  // nats a token
  double minimum = 0, maximum = 1;
  double delta = 0.005;

  // After an optimizer step over whose tokens the mean entropy was `measured`. One that is not finite changes nothing.
  EntropyBonus next(const EntropyBonus& before, double measured) const;
  // The weight in the loss of the optimizer step that follows.
  double applied(const EntropyBonus& bonus) const;
};

}  // namespace grpo::algorithm

#endif
