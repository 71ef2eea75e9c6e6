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
  // Makes the directory and locks it, opens the log, finds the checkpoint to resume from. state.fixed must be filled
  // in.
  Run(const StageSettings& settings, TrainerState state);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  const std::filesystem::path& directory() const { return directory_; }
  // The checkpoint that the run goes on from; its weights are the ones to open.
  const std::optional<std::filesystem::path>& resumed() const { return resumed_; }
  TrainerState& state() { return state_; }

  // After the session is open: restores the optimizer, sets an earlier run aside, opens metrics.jsonl. rows: of the
  // training data that can be used. Throws when a resumed run had another number: their order would be another too.
  void start(Session& session, std::int64_t rows);
  // The metrics of a step: machine metrics are added, then file, console callback.
  void report(report::Metrics& metrics);
  // Whether StageSettings::stop asks for an early end.
  bool stopped() const { return settings_.stop && settings_.stop(); }
  // Writes a checkpoint if checkpoint.every_steps says so, if this was the last step and checkpoint.final is on, or if
  // the run is to end early.
  void maybe_save(Session& session, bool last, bool stopped);
  // What to say when the run ends.
  void say_end(std::int64_t total_steps, bool stopped) const;
  const std::optional<std::filesystem::path>& last_checkpoint() const { return last_checkpoint_; }

 private:
  CheckpointOptions checkpoint_options(Session& session) const;
  void lock_directory();

  const StageSettings& settings_;
  std::filesystem::path directory_;
  int lock_ = -1;                  // the directory, held by this process
  double checkpoint_seconds_ = 0;  // of the last one, told with the next step
  std::string old_rows_;           // of the run that is resumed
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
