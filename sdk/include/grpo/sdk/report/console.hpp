// console.hpp: what a person sees in the terminal while a run goes on.
//
// One line a step, in columns under a header that is repeated now and then; a progress bar while rollouts run (only
// when standard output is a terminal); sample completions with their scores; at the end a learning curve. Everything
// else, such as warnings, goes to standard error through log(): on lines of their own, since both take the bar away
// first. A terminal that is narrower than the table gets its most important columns; a file gets all of them. Colours
// follow NO_COLOR; a dumb terminal (TERM) gets neither colours nor the bar.
#ifndef GRPO_SDK_REPORT_CONSOLE_HPP
#define GRPO_SDK_REPORT_CONSOLE_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grpo/sdk/report/metrics.hpp"

namespace grpo::report {

struct Column;  // of the table

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
  // columns: to fit into; 0: no limit. Not given: those of the terminal at standard output as they are at each line.
  explicit Console(Progress progress = Progress::automatic, std::optional<std::size_t> columns = std::nullopt);
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;
  ~Console();

  // A titled two-column table, such as the resolved settings of a run.
  void settings(std::string_view title, std::span<const std::pair<std::string, std::string>> rows);
  // Starts a stage of `steps` steps; its title and the header are printed above its first line. `first` is the step it
  // starts at.
  void stage(std::string_view name, std::int64_t steps, std::int64_t first = 0);
  // The line of a GRPO step. Reads the canonical metrics.
  void step(std::int64_t step, const Metrics& metrics);
  // The line of an SFT step.
  void sft_step(std::int64_t step, const Metrics& metrics);
  // A line of its own, such as "checkpoint written to ...".
  void line(std::string_view text);
  // A line that goes right below the table's next one.
  void below_next_row(std::string_view text);
  // The bar: `done` of `total`, drawn at most some ten times a second. Ended by the next line.
  void progress(std::string_view what, double done, double total);
  void samples(std::int64_t step, std::span<const Sample> samples);
  // A plot of (x, y) in characters; y between y_min and y_max.
  void curve(std::string_view title, std::span<const std::pair<double, double>> points, double y_min, double y_max);

 private:
  std::size_t room() const;
  std::string styled(const char* code, std::string_view text) const;
  void row(std::span<const Column> columns);
  double elapsed() const;  // seconds since the stage began
  double remaining(std::int64_t step) const;

  std::optional<std::size_t> columns_;
  bool bars_ = false, color_ = false;
  std::string title_;  // of a stage that has no line yet
  std::string below_;  // what goes below the next line
  std::int64_t steps_ = 0, first_ = 0, lines_ = 0;
  std::size_t width_ = 9;         // of the column "step/steps"
  std::vector<bool> kept_;        // the columns that fit
  std::size_t laid_out_for_ = 0;  // cells that they fit into
  std::chrono::steady_clock::time_point stage_start_, bar_time_;
};

// "38m02s", "4.1s", "2h05m".
std::string duration(double seconds);

enum class Level { debug = 1, info = 2, warning = 3, error = 4 };
// A line for standard error and the run's log file. Any thread.
void log(Level level, std::string_view text);
// The same for the file alone.
void note(Level level, std::string_view text);
// Lines are kept (the last thousand) for a file that log_to_file will name: so it is when the process begins, and, from
// this call on, for a run that is about to begin.
void hold_log();
// Write to this file (append), first what was kept. Throws grpo::Error. Not beside another of these two.
void log_to_file(const std::filesystem::path& path);
// What is shown on standard error; the file gets everything. Default: info.
void set_log_level(Level level);

}  // namespace grpo::report

#endif
