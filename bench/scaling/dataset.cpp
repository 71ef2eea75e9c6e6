// Opens a data file as a run does and prints one line of JSON: seconds until rows can be had, until a row of the middle
// has been read, until every row has been checked, and how much memory that took. Usage: scaling_dataset FILE COLUMN...
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <grpo/sdk/data/dataset.hpp>
#include <nlohmann/json.hpp>
#include <string>

namespace {

// The most memory this process has held, in bytes.
long peak() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6)) * 1024;
  return 0;
}

}  // namespace

int main(int count, char** words) try {
  if (count < 2) return std::fprintf(stderr, "usage: scaling_dataset FILE COLUMN...\n"), 2;
  const long before = peak();
  const auto begin = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  nlohmann::ordered_json out;
  const auto data = grpo::data::Dataset::open(words[1], {.required = {words + 2, words + count}});
  out["rows"] = data.size();
  out["open_seconds"] = seconds();
  const auto columns = data.row(data.size() / 2).size();
  out["first_row_seconds"] = seconds();
  if (data.columns().size() != columns) return std::fprintf(stderr, "rows of different columns\n"), 1;
  out["checked_seconds"] = seconds();
  out["peak_bytes"] = peak();
  out["grown_bytes"] = peak() - before;
  std::printf("%s\n", out.dump().c_str());
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
