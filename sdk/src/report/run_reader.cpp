#include "run_reader.hpp"

#include <signal.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>

namespace grpo::report {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t most_sample_steps = 40, most_text = 3000, most_samples_a_step = 32, most_warnings = 200;
constexpr std::string_view log_time = "2026-01-01 00:00:00.000";

std::string whole_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A long text without its middle, cut between characters.
std::string shortened(const std::string& text) {
  if (text.size() <= most_text) return text;
  const auto continues = [&](std::size_t i) { return (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80; };
  std::size_t head = most_text * 2 / 3, tail = text.size() - most_text / 3;
  while (head > 0 && continues(head)) --head;
  while (tail < text.size() && continues(tail)) ++tail;
  return text.substr(0, head) + "\n[... " + std::to_string(tail - head) + " bytes ...]\n" + text.substr(tail);
}

// A run that was killed had no time to say so: its process, if it was one of this machine, is no more.
bool has_gone(const nlohmann::json& facts) {
  utsname system{};
  const auto machine = facts.find("machine");
  if (uname(&system) != 0 || machine == facts.end() || !machine->is_object()) return false;
  const auto process = facts.find("process"), name = machine->find("name");
  return process != facts.end() && process->is_number_integer() && name != machine->end() && *name == system.nodename &&
         kill(process->get<pid_t>(), 0) != 0 && errno == ESRCH;
}

bool begins_with_time(const std::string& line) {
  if (line.size() <= log_time.size() || line[log_time.size()] != ' ') return false;
  for (std::size_t i = 0; i < log_time.size(); ++i)
    if (log_time[i] >= '0' && log_time[i] <= '9' ? line[i] < '0' || line[i] > '9' : line[i] != log_time[i])
      return false;
  return true;
}

}  // namespace

void RunReader::update() {
  read_metrics();
  read_samples();
  read_log();
}

// A last line without its break is still being written: it is left for the next time.
template <class Begin, class Take>
void RunReader::new_lines(Tail& tail, const Begin& begin_anew, const Take& take) const {
  std::error_code none;
  const auto path = directory_ / tail.name;
  const auto size = fs::file_size(path, none);
  if (none || size < tail.at) {
    if (tail.at > 0) begin_anew();
    tail.at = 0;
    if (none) return;
  }
  std::ifstream in(path, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(tail.at));
  for (std::string line; std::getline(in, line) && !in.eof();) {
    tail.at += line.size() + 1;
    take(line);
  }
}

void RunReader::read_metrics() {
  const auto begin_anew = [&] {
    curves_.clear();
    elapsed_ = 0;
  };
  new_lines(metrics_file_, begin_anew, [&](const std::string& line) {
    const auto row = nlohmann::ordered_json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!row.is_object() || !row.contains("step") || !row["step"].is_number_integer()) return;
    const auto step = row["step"].get<std::int64_t>();
    for (const auto& [name, value] : row.items())
      if (name != "step" && value.is_number()) curves_.add(step, name, value.get<double>());
    for (const char* name : {"step_time", "timing/eval", "timing/checkpoint"})
      if (const auto at = row.find(name); at != row.end() && at->is_number()) elapsed_ += at->get<double>();
    curves_.add(step, "elapsed", elapsed_);
  });
}

void RunReader::read_samples() {
  const auto begin_anew = [&] {
    samples_.clear();
    sample_every_ = 1;
    sample_steps_seen_ = 0;
  };
  new_lines(samples_file_, begin_anew, [&](const std::string& line) {
    auto row = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!row.is_object() || !row.contains("step") || !row["step"].is_number_integer()) return;
    const auto step = row["step"].get<std::int64_t>();
    if (samples_.empty() || samples_.back().step != step) {
      samples_.push_back({step, {}});
      ++sample_steps_seen_;
      thin_samples();
    }
    if (samples_.back().rows.size() == most_samples_a_step) return;
    for (const char* name : {"prompt", "completion", "ground_truth"})
      if (const auto at = row.find(name); at != row.end() && at->is_string())
        *at = shortened(at->get_ref<const std::string&>());
    samples_.back().rows.push_back(std::move(row));
  });
}

// Keeps every 2^k-th of the steps, and the last one, which makes room when it is no longer the last.
void RunReader::thin_samples() {
  if (samples_.size() > 2 && (sample_steps_seen_ - 2) % sample_every_ != 0) samples_.erase(samples_.end() - 2);
  if (samples_.size() <= most_sample_steps) return;
  sample_every_ *= 2;
  std::vector<SampleStep> kept;
  for (std::size_t i = 0; i < samples_.size(); ++i)
    if (i % 2 == 0 || i + 1 == samples_.size()) kept.push_back(std::move(samples_[i]));
  samples_ = std::move(kept);
}

void RunReader::read_log() {
  if (log_file_.at == 0)
    if (const auto run = facts(); run.is_object())
      if (const auto from = run.find("log_from"); from != run.end() && from->is_number_unsigned()) log_file_.at = *from;
  const auto begin_anew = [&] {
    warnings_.clear();
    warnings_seen_ = 0;
  };
  bool in_warning = false;
  new_lines(log_file_, begin_anew, [&](const std::string& line) {
    if (!begins_with_time(line)) {  // a message of several lines
      if (in_warning && warnings_.back().text.size() < most_text) warnings_.back().text += "\n" + line;
      return;
    }
    const auto level_at = log_time.size() + 1, level_end = line.find(' ', level_at);
    const std::string level = line.substr(level_at, level_end - level_at);
    in_warning = level == "warning" || level == "error" || level == "critical";
    if (!in_warning) return;
    ++warnings_seen_;
    warnings_.push_back(
        {line.substr(0, log_time.size() - 4), level, level_end == line.npos ? "" : line.substr(level_end + 1)});
    if (warnings_.size() > most_warnings) warnings_.pop_front();
  });
}

nlohmann::json RunReader::facts() const {
  auto facts = nlohmann::json::parse(whole_file(directory_ / "run.json"), nullptr, /*allow_exceptions=*/false);
  if (!facts.is_object()) return {};
  if (facts.value("status", "") == "running" && has_gone(facts)) facts["status"] = "interrupted";
  return facts;
}

std::string RunReader::yaml() const { return whole_file(directory_ / "run.yaml"); }

}  // namespace grpo::report
