// run.hpp: what the stages share: the run's directory, resuming, checkpoints, metrics of the machine.
#ifndef GRPO_SRC_TRAIN_RUN_HPP
#define GRPO_SRC_TRAIN_RUN_HPP

#include <chrono>
#include <exception>
#include <memory>
#include <optional>

#include "grpo/sdk/algorithm/schedule.hpp"
#include "grpo/sdk/train/cadence.hpp"
#include "grpo/sdk/train/checkpoint.hpp"
#include "grpo/sdk/train/session.hpp"
#include "grpo/sdk/train/stage.hpp"
#include "output_directory.hpp"
#include "run_files.hpp"

namespace grpo::train {

class Run {
 public:
  // Claims the directory, finds the checkpoint to resume from; nothing is written before start. state.fixed has
  // what the stage may not change when it goes on; what no stage may is added here.
  Run(const StageSettings& settings, TrainerState state);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  const std::filesystem::path& directory() const { return directory_.path(); }
  // The checkpoint that the run goes on from; its weights are the ones to open.
  const std::optional<std::filesystem::path>& resumed() const { return resumed_; }
  TrainerState& state() { return state_; }

  // After the session is open: opens the log, restores the optimizer, sets an earlier run aside, begins the run's
  // files. rows: of the training data that can be used. Throws when a resumed run had another number: their order would
  // be another too. steps: of the whole stage.
  void start(Session& session, std::int64_t rows, std::int64_t steps);
  // Steps of the stage and of one pass over the data, for the time that remains.
  void plan(std::int64_t total_steps, std::int64_t steps_per_epoch);
  // Completions to keep, before the metrics of their step.
  void save_samples(std::span<const report::SavedSample> samples) { files_->samples(state_.step, samples); }
  // The metrics of a step: machine metrics and times are added, then files, epoch line, callback.
  void report(report::Metrics& metrics);
  // Whether StageSettings::stop asks for an early end.
  bool stopped() const { return settings_.stop && settings_.stop(); }
  // Asks StageSettings::next; false: the run is to end here.
  bool go_on(Session& session, bool more);
  // Writes a checkpoint if checkpoint.every_* say so, if this was the last step and checkpoint.final is on, or if the
  // run is to end early; else a recover checkpoint if checkpoint.recover_every_* say so.
  void maybe_save(Session& session, bool last, bool stopped);
  // Before an error ends the run between two steps: a checkpoint of the last one, unless there is one or none is
  // wanted.
  void save_what_there_is(Session& session);
  // What to say when the run ends.
  void say_end(std::int64_t total_steps, bool stopped) const;
  const std::optional<std::filesystem::path>& last_checkpoint() const { return last_checkpoint_; }
  // What else a checkpoint of this run holds: see CheckpointOptions.
  void also_save(std::function<void(const std::filesystem::path&)> further) { further_ = std::move(further); }
  // Epochs done now and after the step before, for a Cadence.
  double epoch() const { return epoch_of(state_.position); }
  double epoch_before() const { return epoch_of(position_before_); }
  // Before each step.
  void begin_step() { position_before_ = state_.position; }

 private:
  CheckpointOptions checkpoint_options(Session& session) const;
  void save(Session& session, bool recover = false);
  void add_times(report::Metrics& metrics);
  double epoch_of(std::int64_t position) const { return static_cast<double>(position) / static_cast<double>(rows_); }

  const StageSettings& settings_;
  OutputDirectory directory_;
  double checkpoint_seconds_ = 0;  // of the last one, told with the next step
  std::string old_rows_;           // of the run that is resumed
  TrainerState state_;
  std::optional<std::filesystem::path> resumed_, last_checkpoint_;
  std::unique_ptr<RunFiles> files_;
  std::function<void(const std::filesystem::path&)> further_;
  Cadence save_, recover_;
  std::int64_t rows_ = 1, position_before_ = 0, total_steps_ = 0, steps_per_epoch_ = 1;
  std::int64_t first_step_ = 0;  // of this process
  double seconds_before_ = 0;    // of the processes before
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Seconds since it was made.
class Timer {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// Share of report.peak_tflops that `tokens`, forward and backward in `seconds`, made use of: 3 times the model's
// flops_per_token each. Nothing where one of them is not known.
std::optional<double> model_flops_utilization(const config::Config& config, const plugins::Model& model, double tokens,
                                              double seconds);

algorithm::ScheduleOptions schedule_of(const config::Config& config, double peak);
// What plugins reported since the last call, under plugin/<component>/<name>, and memory/device_peak if the model tells
// it.
void add_plugin_metrics(Session& session, report::Metrics& metrics);

// One stage alone, whatever run.stages says. stages.cpp chains them.
StageResult train_stage(const StageSettings& settings);
StageResult sft_stage(const StageSettings& settings);

// Runs the stage; what ends it early is also written to its log, for who was not there to see it.
template <class Stage>
StageResult with_its_end_logged(const Stage& stage) {
  try {
    return stage();
  } catch (const std::exception& e) {
    report::note(report::Level::error, e.what());
    throw;
  }
}

// "2 x 8 completions of up to 64 tokens" and the like, for the table at the start.
std::vector<std::pair<std::string, std::string>> common_settings(const config::Config& config, Session& session,
                                                                 const PromptSet& prompts, const Run& run);

}  // namespace grpo::train

#endif
