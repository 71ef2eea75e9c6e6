// isolated.hpp: a plugin in a process of its own.
//
// Main idea. The same .so, unchanged, is loaded by a helper program (grpo-plugin-host); what the host gets is a
// component like any other, whose functions send the batch there and bring the scores back. A plugin that crashes,
// hangs, exits, eats memory or floods its output costs the samples of that call; they carry a status and a message with
// the plugin and the signal, and the next call finds a new process.
//
//     Reward math(isolated(registry, GRPO_REWARD_ID, "math", {.memory_gib = 2}), options, {.services = services});
//     RewardScores s = math.score(batch, {.timeout = 10s});       // at 10 s plus grace the process is gone
//
// Messages are Protobuf over a Unix socket, texts, ids and scores lie in shared memory. docs/isolation.md: how, and
// what it does not protect from. Linux 5.9 or later.
#ifndef GRPO_SDK_PLUGINS_ISOLATED_HPP
#define GRPO_SDK_PLUGINS_ISOLATED_HPP

#include <memory>
#include <string>

#include "grpo/sdk/plugins/registry.hpp"

namespace grpo::plugins {

struct IsolateSettings {
  double memory_gib = 4;  // that one process, and a whole tree of them, may hold; 0: no limit
  int processes = 0;      // that the plugin may start; 0: none (threads are free)
  // Processes with the plugin, each for one call at a time. More than one needs a reward that declares
  // GRPO_REWARD_CONCURRENT. 0: `threads` for such a reward, one for all others.
  int children = 0;
  int threads = 1;            // calls that the host will make at once
  int max_crashes = 5;        // in a row; then it is not started again: quarantine
  double grace_seconds = 1;   // after the deadline or a cancel, until the process is killed
  double open_seconds = 120;  // that loading and open may take, each
  double close_seconds = 5;   // that close may take
  // Between a second crash in a row and the restart; doubles from crash to crash, up to the longest.
  double backoff_seconds = 0.1, longest_backoff_seconds = 10;
  std::string program = {};  // grpo-plugin-host; empty: beside this program, then where it was built or installed
};

// The component `name`, without loading its library into this process, behind the registry's layer if it has one. A
// process is started at once: it tells what the library's table says. Throws grpo::Error: no such component, a kind that cannot be isolated (and why), the library is
// refused, or it crashes while it is loaded.
std::shared_ptr<const Component> isolated(const Registry& registry, const std::string& interface_id,
                                          const std::string& name, const IsolateSettings& settings = {});

// The same for a component that is there already, loaded or not; only its file and its manifest are used.
std::shared_ptr<const Component> isolated(std::shared_ptr<const Component> inner, const IsolateSettings& settings = {});

}  // namespace grpo::plugins

#endif
