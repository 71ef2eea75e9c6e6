// lines.hpp: a file of JSON objects, one a line, each with the "step" that it belongs to.
#ifndef GRPO_SDK_REPORT_LINES_HPP
#define GRPO_SDK_REPORT_LINES_HPP

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>

namespace grpo::report {

class LinesFile {
 public:
  // Opens for appending. Lines of steps after `last_step` are dropped first, as are a torn last line and what is no
  // such object: a run that resumes at a checkpoint writes them again. Throws grpo::Error naming the file when it
  // cannot be written.
  LinesFile(std::filesystem::path path, std::int64_t last_step);
  LinesFile(const LinesFile&) = delete;
  LinesFile& operator=(const LinesFile&) = delete;
  ~LinesFile();

  // Appends whole lines, each with its line break, and flushes them. Throws grpo::Error when the disk is full.
  void append(const std::string& lines);

 private:
  std::filesystem::path path_;
  std::FILE* file_ = nullptr;
};

}  // namespace grpo::report

#endif
