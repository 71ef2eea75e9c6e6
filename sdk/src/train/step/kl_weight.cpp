#include "step/kl_weight.hpp"

#include "grpo/sdk/algorithm/kl_control.hpp"
#include "grpo/sdk/config/config.hpp"

namespace grpo::train {

void KlWeight::pass_on() {
  if (!state_.kl_coefficient) return;
  if (advantage_.kl)
    advantage_.kl->coefficient = *state_.kl_coefficient;
  else
    updater_.set_kl_coefficient(*state_.kl_coefficient);
}

void KlWeight::control(report::Metrics& m, const AdvantageReport& advantages, const Rollout& rollout) {
  if (advantage_.kl) {
    m.set("kl", advantages.kl);
    m.set("reward_kl_penalty", advantages.penalty);
  }
  if (config_.kl_control != "adaptive") return;
  const double now = state_.kl_coefficient.value_or(config_.kl_coefficient);
  m.set("kl_coefficient", now);
  double samples = 0;
  for (const Group& group : rollout.groups) samples += static_cast<double>(group.samples.size());
  const algorithm::AdaptiveKl control{config_.kl_target, config_.kl_horizon};
  state_.kl_coefficient = control.next(now, m.get("kl", no_value), samples);
  pass_on();
}

}  // namespace grpo::train
