#include "grpo/sdk/report/lines.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "grpo/sdk/error.hpp"

namespace grpo::report {
namespace {

void drop_lines_after(const std::filesystem::path& path, std::int64_t last_step) {
  std::ifstream in(path);
  if (!in) return;
  const auto fresh = path.string() + ".tmp";
  std::ofstream out(fresh, std::ios::trunc);
  std::string line;
  bool dropped = false;
  while (std::getline(in, line)) {
    const auto row = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    const auto step = row.is_object() ? row.find("step") : row.end();
    const bool whole = !in.eof();  // a line without its newline would swallow the next one
    const bool keep = step != row.end() && step->is_number_integer() && *step <= last_step;
    if (keep) out << line << '\n';
    dropped = dropped || !keep || !whole;
  }
  in.close();
  out.close();
  if (!out) throw Error(fresh + ": cannot be written: " + std::strerror(errno));
  if (dropped)
    std::filesystem::rename(fresh, path);
  else
    std::filesystem::remove(fresh);
}

}  // namespace

LinesFile::LinesFile(std::filesystem::path path, std::int64_t last_step) : path_(std::move(path)) {
  drop_lines_after(path_, last_step);
  file_ = std::fopen(path_.c_str(), "ae");
  if (!file_) throw Error(path_.string() + ": cannot be opened for writing: " + std::strerror(errno));
}

LinesFile::~LinesFile() {
  if (file_) std::fclose(file_);
}

void LinesFile::append(const std::string& lines) {
  if (std::fwrite(lines.data(), 1, lines.size(), file_) != lines.size() || std::fflush(file_) != 0)
    throw Error(path_.string() + ": writing failed: " + std::strerror(errno) +
                " (is the disk full?). Earlier lines are complete; free space and resume the run");
}

}  // namespace grpo::report
