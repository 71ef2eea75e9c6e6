#include "step/entropy_weight.hpp"

namespace grpo::train {

void EntropyWeight::pass_on() {
  if (config_.adaptive_entropy && state_.entropy_bonus) updater_.set_entropy_bonus(*state_.entropy_bonus);
}

void EntropyWeight::tell(report::Metrics& m) {
  if (config_.adaptive_entropy) {
    state_.entropy_bonus = updater_.entropy_bonus();
    m.set("entropy_coefficient", updater_.entropy_bonus().coefficient);
  } else if (config_.entropy_coefficient != 0) {
    m.set("entropy_coefficient", config_.entropy_coefficient);
  }
}

}  // namespace grpo::train
