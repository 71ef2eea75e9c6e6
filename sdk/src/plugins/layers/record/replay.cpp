#include "grpo/sdk/plugins/replay.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "grpo/sdk/error.hpp"
#include "replaying.hpp"
#include "tensors.hpp"

namespace grpo::plugins {
namespace record {
namespace {

using nlohmann::json;

std::string written(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", x);
  return text;
}

// Long texts in a table help nobody: their beginning, and how long they are.
std::string quoted(const std::string& text) {
  constexpr std::size_t most = 60;
  const std::string shown = json(text.substr(0, most)).dump(-1, ' ', false, json::error_handler_t::replace);
  return text.size() <= most ? shown : shown + " (" + std::to_string(text.size()) + " bytes)";
}

}  // namespace

bool Comparison::agree(double a, double b) const {
  if (std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b))) return true;
  if (settings_.tolerance <= 0 || !std::isfinite(a) || !std::isfinite(b)) return false;
  return std::fabs(a - b) <= settings_.tolerance * std::max({1.0, std::fabs(a), std::fabs(b)});
}

void Comparison::number(double expected, double got, std::int64_t at, const std::string& what) {
  ++report_.compared;
  if (!agree(expected, got)) differ(at, what, written(expected), written(got));
}

void Comparison::integer(std::int64_t expected, std::int64_t got, std::int64_t at, const std::string& what) {
  ++report_.compared;
  if (expected != got) differ(at, what, std::to_string(expected), std::to_string(got));
}

void Comparison::text(const std::string& expected, const std::string& got, std::int64_t at, const std::string& what) {
  if (!settings_.compare_messages) return;
  ++report_.compared;
  if (expected != got) differ(at, what, quoted(expected), quoted(got));
}

void Comparison::status(grpo_status expected, grpo_status got) {
  ++report_.compared;
  if (expected != got) differ(-1, "status of the call", status_name(expected), status_name(got));
}

void Comparison::outcome(const wire::Envelope& expected, grpo_status got, const std::string& error) {
  status(expected.status(), got);
  if (expected.status() != GRPO_STATUS_OK && expected.status() == got) text(expected.error(), error, -1, "error");
}

void Comparison::tensor(const wire::Tensor& expected, const wire::Tensor& got, const std::string& what) {
  const auto shape = [](const wire::Tensor& t) {
    std::string text = "[";
    for (const auto n : t.shape()) text += (text.size() > 1 ? ", " : "") + std::to_string(n);
    return text + "]";
  };
  if (expected.type() != got.type() || expected.bits() != got.bits() || expected.data().size() != got.data().size()) {
    ++report_.compared;
    differ(-1, what + ": type and shape", shape(expected), shape(got));
    return;
  }
  std::vector<double> a, b;
  if (!numbers_of(expected, a) || !numbers_of(got, b)) {
    ++report_.compared;
    if (expected.data() != got.data()) differ(-1, what, "these bytes", "others");
    return;
  }
  report_.compared += a.size();
  std::size_t first = a.size(), count = 0;
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (agree(a[i], b[i])) continue;
    first = std::min(first, i);
    ++count;
    if (std::fabs(a[i] - b[i]) > most) most = std::fabs(a[i] - b[i]);
  }
  if (count == 0) return;
  differ(static_cast<std::int64_t>(first),
         what + " (" + std::to_string(count) + " of " + std::to_string(a.size()) + " elements, by up to " +
             written(most) + ")",
         written(a[first]), written(b[first]));
}

void Comparison::broken(std::int64_t at, const std::string& rule, const std::string& got) { differ(at, rule, "", got); }

void Comparison::note(const std::string& what) {
  auto& notes = report_.notes;
  if (std::find(notes.begin(), notes.end(), what) == notes.end()) notes.push_back(what);
}

void Comparison::differ(std::int64_t at, const std::string& what, std::string expected, std::string got) {
  ++report_.n_differences;
  if (report_.differences.size() < settings_.most_differences)
    report_.differences.push_back({call_, function_, at, what, std::move(expected), std::move(got)});
}

void Replayer::run(Recording& recording) {
  wire::Envelope message;
  while (recording.next(message)) {
    const std::string& function = message.function();
    if (function == "open" && !message.answer())
      open(message);
    else if (function == "open")
      open_answered(message);
    else if (function == "close")
      close(message.handle());
    else if (message.answer())
      answered(message);
    else
      asked(message);
  }
  finished();
  for (const auto& [call, outcome] : opens_) unanswered(call);
  if (unanswered_.size() == 1)
    compare_.note("call " + std::to_string(unanswered_[0]) +
                  " has no answer in the recording: the process ended in it. Now it returned");
  if (unanswered_.size() > 1)
    compare_.note(std::to_string(unanswered_.size()) + " calls, the last of them call " +
                  std::to_string(*std::max_element(unanswered_.begin(), unanswered_.end())) +
                  ", have no answer in the recording. Now they returned");
  if (recording.cut_off())
    compare_.note("the recording was not closed: the process that made it ended, or the file was cut off");
  while (!handles_.empty()) close(handles_.begin()->first);
}

void Replayer::open(const wire::Envelope& message) {
  json values = json::parse(message.options().json(), nullptr, false);
  if (!values.is_object()) throw Error("call " + std::to_string(message.id()) + ": its options are no JSON object");
  if (settings_.options) values.update(*settings_.options);
  Opened& o = handles_[message.handle()];
  o.options = std::make_unique<Options>(values, plugin_->manifest.options, plugin_->manifest.name);
  o.options->set_component(plugin_->entry);
  if (settings_.services) o.services = settings_.services->of(plugin_->manifest.name);
  Call call(o.services);
  begin(message, call);
  const grpo_status status = plugin_->table->open(call, *o.options, &o.handle);
  o.open = status == GRPO_STATUS_OK;
  opens_[message.id()] = {status, call.error()};
  compare_.of(message.id(), "open");
  if (status != GRPO_STATUS_OK && call.error().empty())
    compare_.broken(-1, "a call that fails says nothing", status_name(status));
}

void Replayer::open_answered(const wire::Envelope& message) {
  const auto at = opens_.find(message.id());
  if (at == opens_.end()) return;
  compare_.of(message.id(), "open");
  compare_.outcome(message, at->second.first, at->second.second);
  if (message.status() == GRPO_STATUS_OK && at->second.first != GRPO_STATUS_OK)
    throw Error(plugin_->label() + ": open: " + at->second.second + " (" + status_name(at->second.first) +
                "); it opened when it was recorded. Options can be changed with --options");
  opens_.erase(at);
}

void Replayer::close(std::uint64_t handle) {
  const auto at = handles_.find(handle);
  if (at == handles_.end()) return;
  closing(handle);
  if (at->second.open) plugin_->table->close(at->second.handle);
  handles_.erase(at);
}

void Replayer::unanswered(std::uint64_t call) { unanswered_.push_back(call); }

Replayer::Opened& Replayer::opened(const wire::Envelope& message) {
  const auto at = handles_.find(message.handle());
  if (at == handles_.end() || !at->second.open)
    throw Error("call " + std::to_string(message.id()) + " (" + message.function() +
                ") is made on a handle that is not open");
  return at->second;
}

void Replayer::begin(const wire::Envelope& message, Call& call) {
  if (settings_.before) settings_.before(message.id(), message.function());
  if (settings_.timeout_seconds > 0)
    call.set_timeout(duration_of(settings_.timeout_seconds));
  ++report_.calls;
}

namespace {

RecordingInfo info_of(const wire::Header& header) {
  const wire::Component& c = header.component(0);
  return {c.interface_id(), c.name(), c.plugin(), c.version(), c.path(), header.host(), header.header_revision()};
}

}  // namespace
}  // namespace record

RecordingInfo recording_info(const std::string& file) { return record::info_of(record::Recording(file).header()); }

ReplayReport replay(const std::string& file, std::shared_ptr<const Component> plugin, const ReplaySettings& settings) {
  record::Recording recording(file);
  ReplayReport report;
  report.info = record::info_of(recording.header());
  const std::string& interface_id = report.info.interface_id;
  if (plugin->manifest.interface_id != interface_id)
    throw Error(file + ": holds calls of " + interface_id + "; " + plugin->label() + " is " +
                plugin->manifest.interface_id);
  const std::string kind = kind_of(interface_id);
  static const std::map<std::string, decltype(&record::replay_reward)> replayers = {
      {"reward", record::replay_reward},
      {"optimizer", record::replay_optimizer},
      {"model", record::replay_model},
      {"sampler", record::replay_sampler}};
  const auto replayer = replayers.find(kind);
  if (replayer == replayers.end())
    throw Error(file + ": holds calls of " + interface_id + ", which this program cannot run again");
  try {
    replayer->second(std::move(plugin), settings, report)->run(recording);
  } catch (const Error& e) {
    const std::string text = e.what();
    throw Error(text.starts_with(file) ? text : file + ": " + text);
  }
  return report;
}

}  // namespace grpo::plugins
