// page.hpp: report.html, one run or several side by side in one file that needs nothing else.
//
// Main idea. The page is a fixed text with the runs' data in it as JSON; its own script draws. Texts of models, data
// and plugins are hostile: they enter as JSON that cannot end its element, the script only ever sets them as text, and
// a content security policy admits no other script and no address.
//
//   Page page({"runs/words"});
//   page.write("runs/words/report.html");   // whole, or not at all; as often as wanted, each time with what is new
#ifndef GRPO_SDK_REPORT_PAGE_HPP
#define GRPO_SDK_REPORT_PAGE_HPP

#include <chrono>
#include <filesystem>
#include <memory>
#include <vector>

namespace grpo::report {

class RunReader;

class Page {
 public:
  // Directories of runs: what is there of metrics.jsonl, run.json, run.yaml, samples.jsonl and run.log is shown.
  explicit Page(const std::vector<std::filesystem::path>& runs);
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;
  ~Page();

  // Reads what the runs have written since the last call and writes the page under a temporary name first, so that a
  // reader finds the old page or the new one. refresh: seconds after which an open page of a run that goes on loads
  // itself anew; 0: never. Throws grpo::Error.
  void write(const std::filesystem::path& file, double refresh_seconds = 0);
  // Steps that the runs have reported: 0: there is nothing to show.
  std::int64_t steps() const;

 private:
  std::vector<std::unique_ptr<RunReader>> runs_;
};

// Writes a Page now and then while a run goes on.
class LivePage {
 public:
  // every_seconds: between two pages; 0: after each step.
  LivePage(const std::filesystem::path& run, double every_seconds);
  // After a step. Writes when it is time. A page that cannot be written is a warning in the log, once: no reason to end
  // a run.
  void step() { write(false); }
  // When the run has ended.
  void end() { write(true); }

 private:
  void write(bool now);

  std::filesystem::path file_;
  Page page_;
  double every_ = 0;
  bool written_ = false, warned_ = false;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace grpo::report

#endif
