// registry.hpp: which components there are, and loading the ones that are used.
//
// Main idea. add_directory reads manifests and remembers what it could not read; it runs no plugin's code and refuses
// nothing aloud, because a broken file that the run does not use is not the run's business. load finds a component by
// interface and name, loads its library the first time, checks everything that the contract promises, and only then
// hands out the table. When it cannot, the message lists what is there, where it looked and which files it refused, and
// why.
//
//     Registry registry;
//     registry.add_directory("plugins");
//     std::shared_ptr<const Component> math = registry.load("grpo.reward/1", "math");
//
// Libraries are loaded with RTLD_NOW | RTLD_LOCAL and never unloaded. A file that this process has not loaded before is
// loaded first in a child process (grpo-plugin-probe), because a static initialiser that throws or crashes ends the
// process it runs in.
//
// A registry is for one thread at a time; components may be used from any.
#ifndef GRPO_SDK_PLUGINS_REGISTRY_HPP
#define GRPO_SDK_PLUGINS_REGISTRY_HPP

#include <grpo/plugin.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "grpo/sdk/plugins/manifest.hpp"

namespace grpo::plugins {

// A loaded component. Lives as long as anybody holds it; what its pointers point to lives as long as the process.
struct Component {
  std::string plugin, version;  // of the library
  std::string path;             // its file
  ComponentManifest manifest;   // interface_id, name, options schema, offers
  const grpo_table* table =
      nullptr;  // grpo_reward, grpo_sampler, grpo_model or grpo_optimizer, by manifest.interface_id
  const grpo_component* entry = nullptr;  // as the plugin lists it; told to it at open
  std::uint32_t header_revision = 0;      // of the headers that the plugin was built with

  // "plugin 'math' (plugins/math.so)": how every message begins.
  std::string label() const;

  // Before a field that is newer than revision 1 ("grpo_forward.name", new in revision `since`) gets another value than
  // its default. Throws grpo::Error if the plugin's headers do not have it: it would be ignored without a word.
  void need_revision(std::uint32_t since, const std::string& field) const;
};

// A file that was not taken.
struct Refusal {
  std::string path, reason;
  bool is_plugin = false;  // it carries a manifest, or the beginning of one: a plugin that is broken, no bystander
};

// The file in which good probes are remembered between runs: in $GRPO_CACHE, else in the user's cache folder; "" if
// there is neither.
std::string default_probe_cache();

struct RegistrySettings {
  std::string host_name = "grpo";  // told to plugins, for their messages
  std::string probe = {};  // grpo-plugin-probe; empty: beside this program, then where it was built or installed
  bool isolate_first_load = true;                   // load a file not seen before in a child process first
  double probe_seconds = 60;                        // how long the child may take
  std::string probe_cache = default_probe_cache();  // empty: remember nothing between runs
  // What load puts in front of each component, such as its checks (checked.hpp); null: nothing.
  std::function<std::shared_ptr<const Component>(std::shared_ptr<const Component>)> layer = {};
};

class Registry {
 public:
  explicit Registry(RegistrySettings settings = {});
  ~Registry();
  Registry(Registry&&) noexcept;
  Registry& operator=(Registry&&) noexcept;

  // Reads the manifests of all *.so files in the directory and in the directories below it (links are followed, a file
  // is taken once). Throws grpo::Error if there is no such directory; unreadable files become refusals.
  void add_directory(const std::string& path);

  // Reads the manifest of one file. A file that is no plugin becomes a refusal.
  void add_file(const std::string& path);

  const std::vector<Manifest>& manifests() const;  // in order of path
  const std::vector<Refusal>& refusals() const;
  const std::vector<std::string>& directories() const;

  // Is there one of this name, by the manifests?
  bool has(const std::string& interface_id, const std::string& name) const;
  // The names for an interface, sorted.
  std::vector<std::string> names(const std::string& interface_id) const;
  const RegistrySettings& settings() const;
  // The manifest of a component. Throws as load does when there is none.
  const ComponentManifest& find(const std::string& interface_id, const std::string& name) const;

  // The component, its library loaded. Throws grpo::Error: no such component, two files offer it, and all that loading
  // can meet (see the top). A library that was refused once is refused again with the same text.
  std::shared_ptr<const Component> load(const std::string& interface_id, const std::string& name);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace grpo::plugins

#endif
