// library.hpp: loading one library, once in a process, with all the checks of the contract.
#ifndef GRPO_PLUGINS_LIBRARY_HPP
#define GRPO_PLUGINS_LIBRARY_HPP

#include <grpo/plugin.h>

#include "grpo/sdk/plugins/manifest.hpp"
#include "grpo/sdk/plugins/registry.hpp"

namespace grpo::plugins {

// The library of a manifest, ready: entry called, answer checked against the manifest. The same file (by device, inode,
// size and time) gives the same answer for the rest of the process, a refusal too. Throws grpo::Error without the path.
const grpo_plugin* load_library(const Manifest& manifest, const RegistrySettings& settings);

// The component as the plugin lists it, its table checked. Throws grpo::Error without the path.
const grpo_component& entry_of(const grpo_plugin& plugin, const ComponentManifest& wanted);

// Loads the file in a child process; throws grpo::Error saying how that ended unless it went well.
void probe_library(const std::string& path, const RegistrySettings& settings);

}  // namespace grpo::plugins

#endif
