#include "grpo/sdk/report/metrics.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "grpo/sdk/error.hpp"

namespace grpo::report {

void Metrics::set(std::string_view name, double value) {
  for (auto& [key, old] : values_)
    if (key == name) {
      old = value;
      return;
    }
  values_.emplace_back(name, value);
}

std::optional<double> Metrics::find(std::string_view name) const {
  for (const auto& [key, value] : values_)
    if (key == name) return value;
  return std::nullopt;
}

Summary summarize(std::span<const double> values) {
  Summary s;
  double sum = 0;
  for (double x : values) {
    if (!std::isfinite(x)) continue;
    s.min = s.n ? std::min(s.min, x) : x;
    s.max = s.n ? std::max(s.max, x) : x;
    sum += x;
    ++s.n;
  }
  if (!s.n) return s;
  s.mean = sum / static_cast<double>(s.n);
  double square = 0;
  for (double x : values)
    if (std::isfinite(x)) square += (x - s.mean) * (x - s.mean);
  if (s.n > 1) s.std = std::sqrt(square / static_cast<double>(s.n - 1));
  return s;
}

namespace {

// Keeps the lines whose step is at most last_step. A torn last line, from a process that was killed, goes too.
void drop_lines_after(const std::filesystem::path& path, std::int64_t last_step) {
  std::ifstream in(path);
  if (!in) return;
  std::string kept, line;
  bool dropped = false;
  while (std::getline(in, line)) {
    const auto row = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    const auto step = row.is_object() ? row.find("step") : row.end();
    const bool whole = !in.eof();  // a line without its newline would swallow the next one
    const bool keep = step != row.end() && step->is_number_integer() && *step <= last_step;
    if (keep) kept += line + "\n";
    dropped = dropped || !keep || !whole;
  }
  in.close();
  if (!dropped) return;
  const auto fresh = path.string() + ".tmp";
  std::ofstream out(fresh, std::ios::trunc);
  out << kept;
  out.close();
  if (!out) throw Error(fresh + ": cannot be written: " + std::strerror(errno));
  std::filesystem::rename(fresh, path);
}

}  // namespace

MetricsFile::MetricsFile(std::filesystem::path path, std::int64_t last_step) : path_(std::move(path)) {
  drop_lines_after(path_, last_step);
  file_ = std::fopen(path_.c_str(), "ae");
  if (!file_) throw Error(path_.string() + ": cannot be opened for writing: " + std::strerror(errno));
}

MetricsFile::~MetricsFile() {
  if (file_) std::fclose(file_);
}

void MetricsFile::write(std::int64_t step, const Metrics& metrics) {
  nlohmann::ordered_json row;
  row["step"] = step;
  for (const auto& [name, value] : metrics)
    row[name] = std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
  const std::string line = row.dump() + "\n";
  if (std::fwrite(line.data(), 1, line.size(), file_) != line.size() || std::fflush(file_) != 0)
    throw Error(path_.string() + ": writing failed: " + std::strerror(errno) +
                " (is the disk full?). Earlier lines are complete; free space and resume the run");
}

}  // namespace grpo::report
