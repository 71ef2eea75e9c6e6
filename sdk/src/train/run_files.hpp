// run_files.hpp: what a run writes about itself: metrics.jsonl, samples.jsonl, run.json, TensorBoard, report.html.
#ifndef GRPO_SRC_TRAIN_RUN_FILES_HPP
#define GRPO_SRC_TRAIN_RUN_FILES_HPP

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>

#include "grpo/sdk/report/metrics.hpp"
#include "grpo/sdk/report/names.hpp"
#include "grpo/sdk/report/page.hpp"
#include "grpo/sdk/report/samples.hpp"
#include "grpo/sdk/report/tensorboard.hpp"
#include "grpo/sdk/train/session.hpp"

namespace grpo::train {

// The files of a run that is about to go on after `last_step` steps, or of a new one.
class RunFiles {
 public:
  struct Begin {
    std::filesystem::path directory;
    std::string stage;  // "train", "sft"
    std::optional<std::filesystem::path> resumed;
    std::int64_t last_step = -1;
    std::int64_t total_steps = 0;
    std::uintmax_t log_from = 0;  // where the run's lines begin in run.log, which earlier runs may have begun
  };
  // After run.yaml was written. Throws grpo::Error.
  RunFiles(Session& session, const Begin& begin);
  RunFiles(const RunFiles&) = delete;
  RunFiles& operator=(const RunFiles&) = delete;
  // A run that has not ended has failed.
  ~RunFiles();

  void samples(std::int64_t step, std::span<const report::SavedSample> samples);
  // The metrics of a step, to which other systems' names are added; last, since the page then shows the step.
  void step(std::int64_t step, report::Metrics& metrics);
  // status: "finished", "stopped", "failed".
  void end(const std::string& status);

 private:
  void write_facts();

  std::filesystem::path directory_;
  std::unique_ptr<nlohmann::json> facts_;
  report::MetricNames names_;
  report::MetricsFile metrics_;
  std::optional<report::SamplesFile> samples_;
  std::optional<report::TensorBoard> board_;
  std::optional<report::LivePage> page_;
  bool ended_ = false;
};

}  // namespace grpo::train

#endif
