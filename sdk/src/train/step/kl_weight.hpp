// kl_weight.hpp: the weight of the KL, in the loss or in the reward, and its control from step to step.
#ifndef GRPO_SRC_TRAIN_STEP_KL_WEIGHT_HPP
#define GRPO_SRC_TRAIN_STEP_KL_WEIGHT_HPP

#include "grpo/sdk/report/metrics.hpp"
#include "grpo/sdk/train/advantage.hpp"
#include "grpo/sdk/train/checkpoint.hpp"
#include "grpo/sdk/train/collect.hpp"
#include "grpo/sdk/train/update.hpp"

namespace grpo::train {

class KlWeight {
 public:
  // All outlive this object; the one of advantage and updater that has the KL is told its weight, state keeps it.
  KlWeight(const config::AlgorithmConfig& config, AdvantageOptions& advantage, Updater& updater, TrainerState& state)
      : config_(config), advantage_(advantage), updater_(updater), state_(state) {}

  // Tells the weight that the run's state has, if it has one.
  void pass_on();
  // At the end of a step: adds kl and reward_kl_penalty of a KL in the reward, and with kl_control: adaptive
  // kl_coefficient, the weight that this step had; then sets the next step's.
  void control(report::Metrics& metrics, const AdvantageReport& advantages, const Rollout& rollout);

 private:
  const config::AlgorithmConfig& config_;
  AdvantageOptions& advantage_;
  Updater& updater_;
  TrainerState& state_;
};

}  // namespace grpo::train

#endif
