// replay.hpp: recorded calls, run again and compared.
//
//     auto plugin = registry.load(info.interface_id, info.name);
//     const ReplayReport report = replay("math.calls", plugin, {.tolerance = 1e-6});
//     for (const Difference& d : report.differences) std::cout << d.call << ' ' << d.what << '\n';
//
// Results are compared bit by bit, NaN with NaN; with a tolerance numbers a and b agree when |a - b| is at most
// tolerance * max(1, |a|, |b|). Calls run one after the other, in the order in which they began, on this thread. A
// plugin that crashes takes the process down: that is where a debugger wants to be.
#ifndef GRPO_SDK_PLUGINS_REPLAY_HPP
#define GRPO_SDK_PLUGINS_REPLAY_HPP

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "grpo/sdk/plugins/registry.hpp"
#include "grpo/sdk/plugins/services.hpp"

namespace grpo::plugins {

// Whose calls a file holds, and who recorded them.
struct RecordingInfo {
  std::string interface_id, name, plugin, version, path, host;
  std::uint32_t header_revision = 0;
};
// Throws grpo::Error: there is no such file, or it is no recording.
RecordingInfo recording_info(const std::string& file);

struct ReplaySettings {
  double tolerance = 0;
  bool compare_messages = true;             // texts of errors and of samples
  const nlohmann::json* options = nullptr;  // in place of recorded ones, key by key; null: as recorded
  double timeout_seconds = 0;               // deadline of each call; 0: none
  std::shared_ptr<const Services> services = {};
  // Called before each call that is made: its number and function. For whoever wants to know where a crash was.
  std::function<void(std::uint64_t call, const std::string& function)> before = {};
  std::size_t most_differences = 1000;  // that are kept; all are counted
};

// One thing that is not as it was recorded, or that breaks the contract.
struct Difference {
  std::uint64_t call = 0;  // its number in the file
  std::string function;    // "score"
  std::int64_t at = -1;    // sample, element or token; -1: the call as a whole
  std::string what;        // "score", "status", "component found"
  std::string expected, got;
};

struct ReplayReport {
  RecordingInfo info;
  std::uint64_t calls = 0;     // made again
  std::uint64_t compared = 0;  // values compared
  std::uint64_t n_differences = 0;
  std::vector<Difference> differences;
  std::vector<std::string> notes;  // what was not done, and why; each once
  bool same() const { return n_differences == 0; }
};

// Runs the calls of the file on the plugin. Throws grpo::Error: no recording, a damaged one, another interface, options
// that the plugin does not take, and calls of a kind that cannot be run again, with the reason.
ReplayReport replay(const std::string& file, std::shared_ptr<const Component> plugin,
                    const ReplaySettings& settings = {});

}  // namespace grpo::plugins

#endif
