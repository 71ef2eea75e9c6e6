#include "library.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <boost/dll/shared_library.hpp>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <tuple>

#include "elf.hpp"
#include "grpo/sdk/error.hpp"
#include "interfaces.hpp"
#include "released_sizes.hpp"
#include "running.hpp"
#include "utf8.hpp"

namespace grpo::plugins {
namespace {

constexpr const char* entry_name = "grpo_plugin_entry";

// What this process has loaded. A fact about the process and not about a registry: a library is never unloaded, and its
// entry is called once.
struct Process {
  using Identity = std::tuple<std::uint64_t, std::uint64_t, std::int64_t, std::int64_t, std::int64_t>;
  struct Outcome {
    const grpo_plugin* plugin = nullptr;
    std::string refusal;
  };
  struct Requirement {
    std::string version, by;
  };
  std::mutex mutex;
  std::map<Identity, Outcome> outcomes;
  std::deque<boost::dll::shared_library> libraries;  // their destructors would unload: they never run
  std::map<std::string, Requirement> required;
  std::string refusal_text;  // of the entry that runs
};

Process& process() {
  static Process* const one = new Process;  // never destroyed: plugins' threads may outlive main
  return *one;
}

Process::Identity identity_of(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) throw Error(std::string("cannot be read: ") + std::strerror(errno));
  return {st.st_dev, st.st_ino, st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
}

std::string first_of(const std::vector<std::string>& names, std::size_t most) {
  std::string out;
  for (std::size_t i = 0; i < names.size() && i < most; ++i) out += (i ? ", " : "") + names[i];
  return names.size() > most ? out + " and " + std::to_string(names.size() - most) + " more" : out;
}

// RTLD_LOCAL does not keep inline C++ globals of two libraries apart; exporting nothing does.
void check_exports(const ElfFile& file) {
  std::vector<std::string> others = file.exported();
  const auto entry = std::find(others.begin(), others.end(), entry_name);
  const bool has_entry = entry != others.end();
  if (has_entry) others.erase(entry);
  if (!has_entry) {
    throw Error(
        std::string("it does not export ") + entry_name +
        ": its source needs GRPO_PLUGIN(...) or GRPO_REWARD(...), and the version script must leave the entry visible");
  }
  if (!others.empty()) {
    throw Error("it exports more than " + std::string(entry_name) + ": " + first_of(others, 5) +
                ". Build it with grpo_add_plugin, or link it with the SDK's version script "
                "(-Wl,--version-script=grpo_plugin.map)");
  }
}

void check_requirements(const Manifest& manifest, const Process& p) {
  for (const auto& [what, version] : manifest.requires_once) {
    const auto at = p.required.find(what);
    if (at == p.required.end() || at->second.version == version) continue;
    throw Error("it requires " + what + " " + version + ", but this process holds " + what + " " + at->second.version +
                " for " + at->second.by +
                ": a second copy would be replaced by the first without a word. Use builds for the same version");
  }
}

// The system's text, put plainly where it is about a library that is not there.
std::string loading_failed(const std::string& text, const ElfFile& file) {
  for (const std::string& needed : file.needed()) {
    if (text.find(needed + ": cannot open shared object file") != std::string::npos) {
      return "it needs the library " + needed +
             ", which is not found: install it, or name its folder in LD_LIBRARY_PATH";
    }
  }
  const std::string sign = ": cannot open shared object file";
  if (const std::size_t at = text.find(sign); at != std::string::npos) {
    const std::size_t begin = text.find_last_of(" \t", at) == std::string::npos ? 0 : text.find_last_of(" \t", at) + 1;
    return "a library that it needs in turn, " + text.substr(begin, at - begin) +
           ", is not found: install it, or name its folder in LD_LIBRARY_PATH";
  }
  return "it cannot be loaded: " + text;
}

boost::dll::shared_library& open_library(const std::string& path, const ElfFile& file, Process& p) {
  boost::dll::shared_library library;
  try {
    library.load(path, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
  } catch (const std::exception& e) {  // Boost puts dlerror's text after its own, in brackets
    throw Error(loading_failed(e.what(), file));
  }
  return p.libraries.emplace_back(std::move(library));
}

const grpo_host& host_table(const RegistrySettings& settings) {
  static const std::string* const name = new std::string(settings.host_name);
  static const grpo_host* const table = [] {
    auto* t = new grpo_host{};
    t->struct_size = sizeof *t;
    t->header_revision = GRPO_HEADER_REVISION;
    t->abi_min = GRPO_ABI;
    t->abi_max = GRPO_ABI;
    t->name = name->c_str();
    t->refuse = [](const grpo_host*, const char* text, std::int64_t size) noexcept {
      try {  // the mutex of the process is held by the caller of the entry
        if (text && size > 0)
          process().refusal_text = valid_utf8({text, static_cast<std::size_t>(std::min<std::int64_t>(size, 4096))});
      } catch (...) {
      }
    };
    return t;
  }();
  return *table;
}

using Key = std::pair<std::string, std::string>;

std::string listed(const std::set<Key>& keys) {
  std::string out;
  for (const auto& [id, name] : keys) out += (out.empty() ? "" : ", ") + id + " '" + name + "'";
  return out.empty() ? "nothing" : out;
}

void check_answer(const grpo_plugin* plugin, const Manifest& manifest) {
  // The first 16 bytes are the same in every ABI; nothing else is looked at before they are known to fit.
  if (plugin->abi != GRPO_ABI) {
    throw Error("it speaks GRPO ABI " + std::to_string(plugin->abi) + ", this host speaks ABI " +
                std::to_string(GRPO_ABI) + ": rebuild the plugin with this host's SDK, or take a host for its ABI");
  }
  constexpr std::size_t least = released_size<grpo_plugin>;
  if (plugin->struct_size < least || plugin->struct_size > (1u << 20)) {
    throw Error("it describes itself in " + std::to_string(plugin->struct_size) + " bytes, at least " +
                std::to_string(least) + " are due: it was not built with the SDK's headers");
  }
  if (plugin->header_revision == 0) throw Error("it states header revision 0; revisions count from 1");
  std::set<Key> promised, given;
  for (const ComponentManifest& c : manifest.components) promised.emplace(c.interface_id, c.name);
  for (std::uint32_t i = 0; i < plugin->n_components; ++i) {
    const grpo_component* c = plugin->components ? plugin->components[i] : nullptr;
    if (!c || c->struct_size < released_size<grpo_component> || !c->interface_id || !c->name || !c->table) {
      throw Error("its component number " + std::to_string(i) + " lacks an interface, a name or a table");
    }
    if (!given.emplace(c->interface_id, c->name).second) {
      throw Error("it gives " + std::string(c->interface_id) + " '" + c->name + "' twice");
    }
  }
  if (promised != given) {
    throw Error("its manifest lists " + listed(promised) + ", the library gives " + listed(given) +
                ": GRPO_MANIFEST and the list of components must agree");
  }
}

// For the mark of a call while there is no component yet.
Component about_to_load(const Manifest& manifest) {
  Component who;
  who.path = manifest.path;
  if (!manifest.components.empty()) who.manifest.interface_id = manifest.components.front().interface_id;
  who.manifest.name = manifest.name;
  return who;
}

const grpo_plugin* load_now(const Manifest& manifest, const RegistrySettings& settings, Process& p) {
  const ElfFile file(manifest.path);
  check_exports(file);
  check_requirements(manifest, p);
  if (settings.isolate_first_load) probe_library(manifest.path, settings);
  const Component who = about_to_load(manifest);
  const Running mark(who, "load");
  boost::dll::shared_library& library = open_library(manifest.path, file, p);
  auto* entry = library.get<grpo_plugin_entry_fn>(entry_name);
  remember_code(manifest.path, reinterpret_cast<const void*>(entry));
  p.refusal_text.clear();
  const grpo_plugin* plugin = entry(&host_table(settings));
  if (!plugin)
    throw Error("it refused to work here: " + (p.refusal_text.empty() ? "it gave no reason" : p.refusal_text));
  check_answer(plugin, manifest);
  for (const auto& [what, version] : manifest.requires_once) {
    p.required.emplace(what, Process::Requirement{version, "plugin '" + manifest.name + "' (" + manifest.path + ")"});
  }
  return plugin;
}

}  // namespace

const grpo_plugin* load_library(const Manifest& manifest, const RegistrySettings& settings) {
  Process& p = process();
  std::lock_guard lock(p.mutex);
  const Process::Identity identity = identity_of(manifest.path);
  const auto [at, first] = p.outcomes.try_emplace(identity);
  if (first) {
    try {
      at->second.plugin = load_now(manifest, settings, p);
    } catch (const std::exception& e) {
      at->second.refusal = e.what();
    }
  }
  if (!at->second.plugin) throw Error(at->second.refusal);
  return at->second.plugin;
}

const grpo_component& entry_of(const grpo_plugin& plugin, const ComponentManifest& wanted) {
  for (std::uint32_t i = 0; i < plugin.n_components; ++i) {
    const grpo_component& c = *plugin.components[i];
    if (c.interface_id != wanted.interface_id || c.name != wanted.name) continue;
    check_table(*static_cast<const grpo_table*>(c.table), wanted, plugin.header_revision);
    return c;
  }
  throw Error("it does not give " + wanted.interface_id + " '" + wanted.name + "'");
}

}  // namespace grpo::plugins
