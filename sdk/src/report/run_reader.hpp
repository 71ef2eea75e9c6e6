// run_reader.hpp: a run's directory, read as far as it has been written and no part of it twice.
//
// metrics.jsonl, samples.jsonl and run.log only grow while a run goes on, so update() reads on where it stopped: a
// report of a run at step 100,000 costs what one at step 100 does. A file that has become shorter (the run was resumed,
// or started anew) is read from its beginning. Files that are missing are as good as empty.
#ifndef GRPO_SRC_REPORT_RUN_READER_HPP
#define GRPO_SRC_REPORT_RUN_READER_HPP

#include <deque>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "series.hpp"

namespace grpo::report {

// The samples of one step; long texts without their middle.
struct SampleStep {
  std::int64_t step = 0;
  std::vector<nlohmann::json> rows;  // as in samples.jsonl
};

struct Warning {
  std::string time, level, text;
};

class RunReader {
 public:
  explicit RunReader(std::filesystem::path directory) : directory_(std::move(directory)) {}

  void update();

  const std::filesystem::path& directory() const { return directory_; }
  const Curves& curves() const { return curves_; }
  // At most `most_sample_steps`, the first and the last one among them.
  const std::vector<SampleStep>& samples() const { return samples_; }
  const std::deque<Warning>& warnings() const { return warnings_; }  // the last ones
  std::int64_t warnings_seen() const { return warnings_seen_; }
  nlohmann::json facts() const;  // run.json, "interrupted" if its process is no more; null: there is none
  std::string yaml() const;      // run.yaml; empty: there is none

 private:
  struct Tail {
    const char* name;
    std::uintmax_t at = 0;
  };
  // Calls take(line) for each new whole line, and begin_anew() before if the file is another than it was.
  template <class Begin, class Take>
  void new_lines(Tail& tail, const Begin& begin_anew, const Take& take) const;
  void read_metrics();
  void read_samples();
  void read_log();
  void thin_samples();

  std::filesystem::path directory_;
  Tail metrics_file_{"metrics.jsonl"}, samples_file_{"samples.jsonl"}, log_file_{"run.log"};
  Curves curves_;
  double elapsed_ = 0;
  std::vector<SampleStep> samples_;
  std::int64_t sample_every_ = 1, sample_steps_seen_ = 0;
  std::deque<Warning> warnings_;
  std::int64_t warnings_seen_ = 0;
};

}  // namespace grpo::report

#endif
