// entropy_weight.hpp: the weight of the entropy bonus, fixed or adaptive, as a run keeps and tells it.
#ifndef GRPO_SRC_TRAIN_STEP_ENTROPY_WEIGHT_HPP
#define GRPO_SRC_TRAIN_STEP_ENTROPY_WEIGHT_HPP

#include "grpo/sdk/config/config.hpp"
#include "grpo/sdk/report/metrics.hpp"
#include "grpo/sdk/train/checkpoint.hpp"
#include "grpo/sdk/train/update.hpp"

namespace grpo::train {

class EntropyWeight {
 public:
  // All outlive this object.
  EntropyWeight(const config::AlgorithmConfig& config, Updater& updater, TrainerState& state)
      : config_(config), updater_(updater), state_(state) {}

  // Tells the updater the bonus that the run's state has, if it has one.
  void pass_on();
  // At the end of a step: keeps an adaptive bonus in the state, and adds entropy_coefficient, its weight from now on.
  void tell(report::Metrics& metrics);

 private:
  const config::AlgorithmConfig& config_;
  Updater& updater_;
  TrainerState& state_;
};

}  // namespace grpo::train

#endif
