// metrics.hpp: the numbers of a step, by their canonical names.
//
// A Metrics is an ordered list of (name, value), in the order in which they were first set; that is the order of the
// columns people read. Names follow TRL's spirit: lower case, slash-separated ("rewards/math/mean").
#ifndef GRPO_SDK_REPORT_METRICS_HPP
#define GRPO_SDK_REPORT_METRICS_HPP

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grpo/sdk/report/lines.hpp"

namespace grpo::report {

class Metrics {
 public:
  // Sets or replaces.
  void set(std::string_view name, double value);
  std::optional<double> find(std::string_view name) const;
  // The value, or `otherwise` when the metric was not reported.
  double get(std::string_view name, double otherwise = 0) const { return find(name).value_or(otherwise); }

  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }
  std::size_t size() const { return values_.size(); }

 private:
  std::vector<std::pair<std::string, double>> values_;
};

// Mean, smallest, largest and unbiased standard deviation of what is finite; all 0 for an empty list (std 0 for one).
struct Summary {
  double mean = 0, min = 0, max = 0, std = 0;
  std::int64_t n = 0;
};
Summary summarize(std::span<const double> values);

// metrics.jsonl: one object a line, {"step": 1, "reward": 0.5, ...}; values that are not finite are written as null.
class MetricsFile {
 public:
  // Opens for appending. Lines of steps after `last_step` are dropped first: a run that resumes at a checkpoint writes
  // them again. Throws grpo::Error naming the file when it cannot be written.
  MetricsFile(std::filesystem::path path, std::int64_t last_step) : file_(std::move(path), last_step) {}

  // Appends a line and flushes it. Throws grpo::Error when the disk is full.
  void write(std::int64_t step, const Metrics& metrics);

 private:
  LinesFile file_;
};

}  // namespace grpo::report

#endif
