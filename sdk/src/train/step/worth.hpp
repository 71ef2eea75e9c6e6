// worth.hpp: whether a step has anything to learn from.
#ifndef GRPO_SRC_TRAIN_STEP_WORTH_HPP
#define GRPO_SRC_TRAIN_STEP_WORTH_HPP

#include <cstdint>

#include "grpo/sdk/algorithm/advantages.hpp"
#include "grpo/sdk/train/collect.hpp"

namespace grpo::train {

class WorthTraining {
 public:
  explicit WorthTraining(const config::AlgorithmConfig& algorithm) : algorithm_(algorithm) {}

  // Asked once a step, in order. Where it says no, it has said why in the log. A reward that is down for a step costs
  // that step; one that stays down, or never worked, ends the run: throws grpo::Error with the reward's message.
  bool operator()(std::int64_t step, const Rollout& rollout, const algorithm::AdvantageStatistics& statistics);

 private:
  bool some_reward(std::int64_t step, const Rollout& rollout, const algorithm::AdvantageStatistics& statistics);
  bool enough_groups(std::int64_t step, const Rollout& rollout) const;

  const config::AlgorithmConfig& algorithm_;
  int steps_without_reward_ = 0;
  bool rewarded_ = false;
};

}  // namespace grpo::train

#endif
