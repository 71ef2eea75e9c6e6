#include "grpo/sdk/plugins/registry.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "grpo/sdk/config/nearest.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/options.hpp"
#include "library.hpp"
#include "manifest_reader.hpp"

namespace grpo::plugins {
namespace {

namespace fs = std::filesystem;

// Was a file that cannot be read as a plugin meant to be one? Its manifest, or the name of the section, is somewhere in
// it, even if it is cut off or for another machine.
bool carries_manifest(const std::string& path) {
  constexpr std::size_t limit = std::size_t{64} << 20;  // more is not a plugin
  std::ifstream file(path, std::ios::binary);
  std::string bytes(4, '\0');
  if (!file.read(bytes.data(), 4) || bytes !=
                                         "\x7f"
                                         "ELF")
    return false;
  for (std::string block(1 << 16, '\0'); file && bytes.size() < limit;) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    bytes.append(block, 0, static_cast<std::size_t>(file.gcount()));
  }
  return bytes.find("GRPO1 {") != std::string::npos || bytes.find(".grpo.manifest") != std::string::npos;
}

}  // namespace

std::string Component::label() const { return "plugin '" + manifest.name + "' (" + path + ")"; }

void Component::need_revision(std::uint32_t since, const std::string& field) const {
  if (header_revision >= since) return;
  throw Error(label() + ": it was built with revision " + std::to_string(header_revision) + " of the headers; " +
              field + " is new in revision " + std::to_string(since) +
              " and would be ignored. Leave it at its default, or build the plugin with a newer SDK");
}

std::string default_probe_cache() {
  const auto set = [](const char* name) { return std::getenv(name) && *std::getenv(name); };
  if (set("GRPO_CACHE")) return std::string(std::getenv("GRPO_CACHE")) + "/probed-plugins";
  if (set("XDG_CACHE_HOME")) return std::string(std::getenv("XDG_CACHE_HOME")) + "/grpo/probed-plugins";
  if (set("HOME")) return std::string(std::getenv("HOME")) + "/.cache/grpo/probed-plugins";
  return {};
}

struct Registry::State {
  RegistrySettings settings;
  std::vector<Manifest> manifests;
  std::vector<Refusal> refusals;
  std::vector<std::string> directories;
  std::set<std::string> seen;  // canonical paths

  void add(const std::string& path) {
    std::error_code error;
    const fs::path canonical = fs::canonical(path, error);
    if (!seen.insert(error ? path : canonical.string()).second) return;
    try {
      Manifest manifest = read_manifest_of(ElfFile(path));
      manifest.path = path;
      const auto at = std::upper_bound(manifests.begin(), manifests.end(), path,
                                       [](const std::string& p, const Manifest& m) { return p < m.path; });
      manifests.insert(at, std::move(manifest));
    } catch (const std::exception& e) {
      refusals.push_back({path, e.what(), carries_manifest(path)});
    }
  }

  std::vector<std::pair<const Manifest*, const ComponentManifest*>> matches(const std::string& id,
                                                                            const std::string& name) const {
    std::vector<std::pair<const Manifest*, const ComponentManifest*>> out;
    for (const Manifest& m : manifests) {
      for (const ComponentManifest& c : m.components) {
        if (c.interface_id == id && c.name == name) out.emplace_back(&m, &c);
      }
    }
    return out;
  }

  std::vector<std::string> names(const std::string& id) const {
    std::set<std::string> out;
    for (const Manifest& m : manifests) {
      for (const ComponentManifest& c : m.components) {
        if (c.interface_id == id) out.insert(c.name);
      }
    }
    return {out.begin(), out.end()};
  }

  std::string not_found(const std::string& id, const std::string& name) const {
    const std::vector<std::string> known = names(id);
    const std::string near = config::nearest(name, known);
    std::string out = "no " + kind_of(id) + " plugin '" + name + "' (" + id + ")";
    if (!near.empty()) out += "; did you mean '" + near + "'?";
    out += "\n  available: ";
    for (std::size_t i = 0; i < known.size(); ++i) out += (i ? ", " : "") + known[i];
    if (known.empty()) out += "no " + kind_of(id) + " plugin at all";
    for (const Manifest& m : manifests) {  // another kind, or another revision of the same kind
      for (const ComponentManifest& c : m.components) {
        if (c.name == name) out += "\n  '" + name + "' is there as " + c.interface_id + ", in " + m.path;
      }
    }
    out += "\n  searched: ";
    for (std::size_t i = 0; i < directories.size(); ++i) out += (i ? ", " : "") + directories[i];
    if (directories.empty()) out += "no directory; name one with --plugins DIR";
    for (const Refusal& r : refusals) out += "\n  refused: " + r.path + ": " + r.reason;
    return out;
  }

  std::pair<const Manifest*, const ComponentManifest*> find(const std::string& id, const std::string& name) const {
    const auto found = matches(id, name);
    if (found.empty()) throw Error(not_found(id, name));
    if (found.size() > 1) {
      std::string files;
      for (const auto& [manifest, component] : found) files += (files.empty() ? "" : " and ") + manifest->path;
      throw Error("two files offer the " + kind_of(id) + " plugin '" + name + "' (" + id + "): " + files +
                  ". Take one of them out of the plugin directories");
    }
    return found.front();
  }
};

Registry::Registry(RegistrySettings settings) : state_(std::make_unique<State>()) {
  state_->settings = std::move(settings);
}
Registry::~Registry() = default;
Registry::Registry(Registry&&) noexcept = default;
Registry& Registry::operator=(Registry&&) noexcept = default;

void Registry::add_directory(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) throw Error(path + ": no such directory of plugins");
  state_->directories.push_back(path);
  std::vector<std::string> files;
  const auto options = fs::directory_options::follow_directory_symlink | fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator it(path, options, error), end; it != end; it.increment(error)) {
    if (error) break;
    if (it.depth() > 8) it.disable_recursion_pending();  // a link that leads back up
    if (it->path().extension() == ".so" && !it->is_directory(error)) files.push_back(it->path().string());
  }
  if (error) throw Error(path + ": cannot be listed: " + error.message());
  std::sort(files.begin(), files.end());
  for (const std::string& file : files) state_->add(file);
}

void Registry::add_file(const std::string& path) { state_->add(path); }
const std::vector<Manifest>& Registry::manifests() const { return state_->manifests; }
const std::vector<Refusal>& Registry::refusals() const { return state_->refusals; }
const std::vector<std::string>& Registry::directories() const { return state_->directories; }
bool Registry::has(const std::string& id, const std::string& name) const { return !state_->matches(id, name).empty(); }
std::vector<std::string> Registry::names(const std::string& id) const { return state_->names(id); }
const RegistrySettings& Registry::settings() const { return state_->settings; }
const ComponentManifest& Registry::find(const std::string& id, const std::string& name) const {
  return *state_->find(id, name).second;
}

std::shared_ptr<const Component> Registry::load(const std::string& id, const std::string& name) {
  const auto [manifest, component] = state_->find(id, name);
  try {
    const grpo_plugin* plugin = load_library(*manifest, state_->settings);
    auto out = std::make_shared<Component>();
    out->plugin = manifest->name;
    out->version = manifest->version;
    out->path = manifest->path;
    out->manifest = *component;
    out->entry = &entry_of(*plugin, *component);
    out->table = static_cast<const grpo_table*>(out->entry->table);
    out->header_revision = plugin->header_revision;
    return state_->settings.layer ? state_->settings.layer(std::move(out)) : out;
  } catch (const std::exception& e) {
    throw Error("plugin '" + name + "' (" + manifest->path + ") is refused: " + e.what());
  }
}

}  // namespace grpo::plugins
