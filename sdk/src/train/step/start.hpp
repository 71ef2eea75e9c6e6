// start.hpp: the preflight of a run (preflight.hpp), told or enforced as run.preflight says.
#ifndef GRPO_SRC_TRAIN_STEP_START_HPP
#define GRPO_SRC_TRAIN_STEP_START_HPP

#include <cstdint>
#include <string>
#include <vector>

#include "grpo/sdk/data/order.hpp"
#include "grpo/sdk/train/preflight.hpp"

namespace grpo::train {

// With run.preflight: off nothing is looked at. With `stop` a finding in prompts or the first rollout throws
// grpo::Error.
class StartChecks {
 public:
  explicit StartChecks(const config::Config& config) : config_(config) {}

  // Before the first step of a run: its settings, and the prompts that it is about to use.
  void prompts(const ModelText& text, const PromptSet& prompts, data::EpochOrder& order) const;
  // The first rollout, before the first update.
  void rollout(const Rollout& rollout, const std::vector<std::string>& reward_names) const;
  // After every step: signs that are missing are told, and end nothing.
  void after(std::int64_t step, const report::Metrics& metrics);

 private:
  bool off() const { return config_.run.preflight == "off"; }
  void act_on(const Findings& findings) const;

  const config::Config& config_;
  HealthSigns signs_;
};

}  // namespace grpo::train

#endif
