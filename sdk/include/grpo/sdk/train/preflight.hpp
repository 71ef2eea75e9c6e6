// preflight.hpp: what is wrong with a run and can be seen at its start: in its settings and prompts before the first
// step, in its completions and scores before the first update, in the numbers of the first steps.
//
// Main idea. Nothing extra is computed: prompts are rendered anyway, and the rollout is the one that the first step
// trains on, so that a run with preflight is the run without. Each finding is one sentence for people: what was seen,
// with an example, and the key to change. What can never be right (positions that do not hold prompt and completion,
// a column that is not there) is refused elsewhere, before.
#ifndef GRPO_SDK_TRAIN_PREFLIGHT_HPP
#define GRPO_SDK_TRAIN_PREFLIGHT_HPP

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "grpo/sdk/report/metrics.hpp"
#include "grpo/sdk/train/collect.hpp"

namespace grpo::train {

using Findings = std::vector<std::string>;

// Prompts to look at, from the beginning of the run's order.
inline constexpr std::int64_t preflight_prompts = 16;

// A clip range for tokens' ratios where the ratio is of whole completions, from clip_of_tokens upwards; bounds of a
// rejection that reject agreement.
inline constexpr double clip_of_tokens = 0.01;
Findings check_settings(const config::Config& config);

// The template was applied twice, two beginnings of text, the system prompt twice, the label in the prompt, a pattern
// of `format` that no completion can fit.
Findings check_prompts(const config::Config& config, const ModelText& text, std::span<const Prompt> prompts);

// All rewards equal, no answer found where `math` is used, a pattern that fitted nothing, every completion cut.
Findings check_rollout(const config::Config& config, const Rollout& rollout, const std::vector<std::string>& rewards);

// The signs that people look for in the first steps: some completion ends by itself, some reward is not 0, the gradient
// is not 0, not every token is rejected. What has been missing in all of them is said once, after the fifth.
class HealthSigns {
 public:
  // The metrics of step number `step`, in order; of a run that goes on after its first step nothing is said.
  Findings after(std::int64_t step, const report::Metrics& metrics);

 private:
  bool watched_ = false, ended_ = false, rewarded_ = false, moved_ = false, accepted_ = false;
};

}  // namespace grpo::train

#endif
