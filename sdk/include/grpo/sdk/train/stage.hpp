// stage.hpp: the stages of training: `train` (GRPO and its family) and `sft`.
//
// Each opens a session, resumes if asked and possible, runs its steps, and leaves in run.output_dir:
//   metrics.jsonl      one line a step         run.log        everything that was said
//   run.yaml           the configuration       checkpoint-N/  see checkpoint.hpp
//   samples.jsonl      completions             report.html    all of it to look at
//   run.json           what runs, and its end
#ifndef GRPO_SDK_TRAIN_STAGE_HPP
#define GRPO_SDK_TRAIN_STAGE_HPP

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "grpo/sdk/config/config.hpp"
#include "grpo/sdk/report/console.hpp"
#include "grpo/sdk/report/metrics.hpp"

namespace grpo::train {

// What a run that is driven from outside does next.
enum class Next {
  step,  // go on
  save,  // write a checkpoint of the steps done, and ask again
  end    // end, without a checkpoint
};

struct StageSettings {
  config::Config config;
  std::vector<std::filesystem::path> plugin_directories;
  report::Console* console = nullptr;  // null: silent
  // After each step, and with step 0 after the evaluation before the first: the step's metrics. May be null.
  std::function<void(std::int64_t step, const report::Metrics&)> on_step;
  // Asked after each step, and between the batches of an evaluation: true ends the run early, with a checkpoint of the
  // steps done. May be null.
  std::function<bool()> stop;
  // Asked before each step, and once more when there is none left (more: false). On the stage's thread; may wait. Null:
  // Next::step.
  std::function<Next(bool more)> next;
  // After each checkpoint, and with the one that the run goes on from. May be null.
  std::function<void(const std::filesystem::path&)> on_checkpoint;
};

struct StageResult {
  std::int64_t steps = 0;
  std::optional<std::filesystem::path> checkpoint;  // the last one written, or resumed from
  bool interrupted = false;                         // stop said so before the last step
};

// Throws grpo::Error; what was written before stays.
StageResult train(const StageSettings& settings);
StageResult sft(const StageSettings& settings);

// run.output_dir, or runs/<name> when it is empty.
std::filesystem::path output_dir(const config::Config& config);

}  // namespace grpo::train

#endif
