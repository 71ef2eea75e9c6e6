// console.hpp: what a person sees in the terminal while a run goes on.
//
// One line a step, in columns under a header that is repeated now and then; a progress bar while rollouts run (only
// when standard output is a terminal); sample completions with their scores; at the end a learning curve. Everything
// else, such as warnings, goes to standard error through log().
#ifndef GRPO_SDK_REPORT_CONSOLE_HPP
#define GRPO_SDK_REPORT_CONSOLE_HPP

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grpo/sdk/report/metrics.hpp"

namespace grpo::report {

// One completion to show.
struct Sample {
  std::string prompt, completion, ground_truth;
  double reward = 0;
  std::vector<std::pair<std::string, double>> scores;  // by reward; NaN: none
  std::string finish;                                  // "stop", "length", "cancelled"
};

// Whether the bar is drawn: as standard output decides, or always / never.
enum class Progress { automatic, always, never };

class Console {
 public:
  explicit Console(Progress progress = Progress::automatic);

  // A titled two-column table, such as the resolved settings of a run.
  void settings(std::string_view title, std::span<const std::pair<std::string, std::string>> rows);
  // Starts a stage of `steps` steps; the header will be printed above its first line. `first` is the step it starts at.
  void stage(std::string_view name, std::int64_t steps, std::int64_t first = 0);
  // The line of a GRPO step. Reads the canonical metrics.
  void step(std::int64_t step, const Metrics& metrics);
  // The line of an SFT step.
  void sft_step(std::int64_t step, const Metrics& metrics);
  // A line of its own, such as "checkpoint written to ...".
  void line(std::string_view text);
  // The bar: `done` of `total`, drawn at most some ten times a second. Ended by the next line.
  void progress(std::string_view what, double done, double total);
  void samples(std::int64_t step, std::span<const Sample> samples);
  // A plot of (x, y) in characters; y between y_min and y_max.
  void curve(std::string_view title, std::span<const std::pair<double, double>> points, double y_min, double y_max);

 private:
  void clear_bar();
  void header(std::string_view text);
  std::string eta(std::int64_t step) const;

  bool terminal_ = false, bar_ = false, color_ = false;
  std::int64_t steps_ = 0, first_ = 0, lines_ = 0;
  int width_ = 9;  // of the column "step/steps"
  std::chrono::steady_clock::time_point stage_start_, bar_time_;
};

// "38m02s", "4.1s", "2h05m".
std::string duration(double seconds);

enum class Level { debug = 1, info = 2, warning = 3, error = 4 };
// A line for standard error and, once set, the run's log file. Any thread.
void log(Level level, std::string_view text);
// Also write to this file from now on (appends). Any thread.
void log_to_file(const std::filesystem::path& path);
// What is shown on standard error; the file gets everything. Default: info.
void set_log_level(Level level);

}  // namespace grpo::report

#endif
