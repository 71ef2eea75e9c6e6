#include "step/worth.hpp"

#include <fmt/format.h>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/report/console.hpp"

namespace grpo::train {

bool WorthTraining::operator()(std::int64_t step, const Rollout& rollout,
                               const algorithm::AdvantageStatistics& statistics) {
  return some_reward(step, rollout, statistics) && enough_groups(step, rollout);
}

bool WorthTraining::some_reward(std::int64_t step, const Rollout& rollout,
                                const algorithm::AdvantageStatistics& statistics) {
  constexpr int most = 3;
  if (statistics.not_applicable < num_completions(rollout)) {
    steps_without_reward_ = 0;
    rewarded_ = true;
    return true;
  }
  const std::string text =
      "step " + std::to_string(step) + ": no completion got a reward" +
      (rollout.scores.errors.empty() ? std::string(": every reward said it does not apply; is data.answer_key right?")
                                     : "; the first message: " + rollout.scores.errors.front());
  if (++steps_without_reward_ == most || !rewarded_) throw Error(text);
  report::log(report::Level::warning, text + "; the weights were left as they are");
  return false;
}

// Whether dynamic sampling has left something to train on.
bool WorthTraining::enough_groups(std::int64_t step, const Rollout& rollout) const {
  const auto groups = static_cast<std::int64_t>(rollout.groups.size());
  if (groups == algorithm_.prompts_per_step) return true;
  report::log(report::Level::warning,
              fmt::format("step {}: {} of {} prompts have groups worth training on after {} resamples "
                          "(algorithm.max_resamples){}",
                          step, groups, rollout.groups.size() + rollout.rejected.size(), rollout.resamples,
                          groups < algorithm_.minibatches ? "; the weights were left as they are" : ""));
  return groups >= algorithm_.minibatches;
}

}  // namespace grpo::train
