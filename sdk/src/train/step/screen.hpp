// screen.hpp: what the GRPO stage shows in the terminal.
#ifndef GRPO_SRC_TRAIN_STEP_SCREEN_HPP
#define GRPO_SRC_TRAIN_STEP_SCREEN_HPP

#include <cstdint>
#include <string>
#include <vector>

#include "grpo/sdk/train/collect.hpp"
#include "run.hpp"

namespace grpo::train {

// With a null console all of it does nothing. What it is made of outlives it.
class Screen {
 public:
  Screen(report::Console* console, const config::Config& config, const std::vector<WeightedReward>& rewards)
      : console_(console), config_(config), rewards_(rewards) {}

  // The table at the start, and the bar's range.
  void announce(Session& session, const PromptSet& prompts, const Run& run, std::int64_t total_steps,
                std::int64_t steps_done);
  // The line of a step, an evaluation and completions with it.
  void step(std::int64_t step, const report::Metrics& metrics, const Rollout& rollout, bool last);
  void evaluation(const std::string& when, const report::Metrics& metrics);
  void progress(const char* what, double done, double total);

 private:
  void samples(std::int64_t step, const Rollout& rollout);

  report::Console* console_;
  const config::Config& config_;
  const std::vector<WeightedReward>& rewards_;
};

// Whether completions of this step are shown and saved (report.samples_every).
bool samples_due(const config::Config& config, std::int64_t step);

}  // namespace grpo::train

#endif
