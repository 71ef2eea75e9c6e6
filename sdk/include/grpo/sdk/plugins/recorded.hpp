// recorded.hpp: a component whose calls are written into a file, to be run again without model, data or GPU
// (replay.hpp).
//
//     auto math = recorded(registry.load(GRPO_REWARD_ID, "math"), {.file = "math.calls"});
//     Reward reward(math, options);                      // as any other component
//
// The file is gzip over Protobuf messages, each behind its length (sdk/src/plugins/wire/wire.proto): a header that
// names plugin, version, interface and host, then each call before it is made, and its answer. Every message is handed
// to the operating system as it is written, so a process that ends within a call leaves a file that can be read, with
// that call at its end. What is kept of each kind, and what is not, docs/plugin-tools.md says.
#ifndef GRPO_SDK_PLUGINS_RECORDED_HPP
#define GRPO_SDK_PLUGINS_RECORDED_HPP

#include <filesystem>
#include <memory>
#include <string>

#include "grpo/sdk/plugins/registry.hpp"

namespace grpo::plugins {

struct RecordSettings {
  std::filesystem::path file;  // an earlier recording there is kept, as FILE.1, FILE.2, ...
  std::string host = "grpo";   // who records, with its version
};

// The component behind a layer that records. The same component recorded into the same file again, while the first is
// still there, shares it. Throws grpo::Error: the file cannot be made, another component is being recorded into it, or
// the interface is not one that can be recorded. A file that cannot be written any more (a full disk) ends the
// recording with a warning in the component's log, not the run.
std::shared_ptr<const Component> recorded(std::shared_ptr<const Component> inner, const RecordSettings& settings);

}  // namespace grpo::plugins

#endif
