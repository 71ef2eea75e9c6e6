// run.hpp: what the stages share: the run's directory, resuming, checkpoints, metrics of the machine.
#ifndef GRPO_SRC_TRAIN_RUN_HPP
#define GRPO_SRC_TRAIN_RUN_HPP

#include <chrono>
#include <memory>
#include <optional>

#include "grpo/sdk/algorithm/schedule.hpp"
#include "grpo/sdk/train/checkpoint.hpp"
#include "grpo/sdk/train/session.hpp"
#include "grpo/sdk/train/stage.hpp"

namespace grpo::train {

class Run {
 public:
  // Makes the directory, opens the log, finds the checkpoint to resume from. state.fixed must be filled in.
  Run(const StageSettings& settings, TrainerState state);

  const std::filesystem::path& directory() const { return directory_; }
  // The checkpoint that the run goes on from; its weights are the ones to open.
  const std::optional<std::filesystem::path>& resumed() const { return resumed_; }
  TrainerState& state() { return state_; }

  // After the session is open: restores the optimizer, opens metrics.jsonl.
  void start(Session& session);
  // The metrics of a step: machine metrics are added, then file, console callback.
  void report(report::Metrics& metrics);
  // Writes a checkpoint now.
  std::filesystem::path save(Session& session);
  // Writes one if checkpoint.every_steps says so, or if this was the last step and checkpoint.final is on.
  void maybe_save(Session& session, bool last, report::Metrics& metrics);
  const std::optional<std::filesystem::path>& last_checkpoint() const { return last_checkpoint_; }

 private:
  const StageSettings& settings_;
  std::filesystem::path directory_;
  TrainerState state_;
  std::optional<std::filesystem::path> resumed_, last_checkpoint_;
  std::unique_ptr<report::MetricsFile> metrics_file_;
};

// Seconds since it was made.
class Timer {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

algorithm::ScheduleOptions schedule_of(const config::Config& config, double peak);
// "2 x 8 completions of up to 64 tokens" and the like, for the table at the start.
std::vector<std::pair<std::string, std::string>> common_settings(const config::Config& config, Session& session,
                                                                 const PromptSet& prompts, const Run& run);

}  // namespace grpo::train

#endif
