// samples.hpp: samples.jsonl, completions of some steps kept with their scores, for people to read.
//
// One completion a line, and the whole group of a prompt, since advantages compare within it:
//   {"step": 10, "group": 0, "index": 3, "row": 17, "prompt": "...", "completion": "...", "ground_truth": "42",
//    "rewards": {"math": 1.0}, "reward": 1.0, "advantage": 0.7, "finish": "stop", "tokens": 61}
// `grpo-host score` reads the file as it is; report.html shows it.
#ifndef GRPO_SDK_REPORT_SAMPLES_HPP
#define GRPO_SDK_REPORT_SAMPLES_HPP

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "grpo/sdk/report/lines.hpp"

namespace grpo::report {

struct SavedSample {
  std::int64_t group = 0, index = 0;  // of the prompt in the step, of the completion in its group
  std::int64_t row = 0;               // of the prompt in the dataset
  std::string prompt, completion, ground_truth = {};
  std::vector<std::pair<std::string, double>> rewards = {};  // by name, before weights; NaN (none) is written as null
  double reward = 0, advantage = 0;                          // NaN likewise
  std::string finish = {};                                   // "stop", "length", "cancelled"
  std::int64_t tokens = 0;
};

class SamplesFile {
 public:
  // As MetricsFile: appends, without the lines of steps after `last_step`.
  SamplesFile(std::filesystem::path path, std::int64_t last_step) : file_(std::move(path), last_step) {}
  // Throws grpo::Error when the disk is full. Bytes that are not UTF-8 become U+FFFD.
  void write(std::int64_t step, std::span<const SavedSample> samples);

 private:
  LinesFile file_;
};

}  // namespace grpo::report

#endif
