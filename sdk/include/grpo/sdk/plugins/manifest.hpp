// manifest.hpp: what a plugin library says about itself, read from the file without running its code.
//
// Main idea. A library carries its manifest as JSON in the ELF section ".grpo.manifest". read_manifest opens the file,
// finds the section, checks every offset, parses the text. Nothing is loaded, no constructor runs, so a directory of
// strangers' files can be listed safely.
//
//     for (const auto& c : read_manifest("plugins/math.so").components) std::cout << c.interface_id << ' ' << c.name <<
//     '\n';
#ifndef GRPO_SDK_PLUGINS_MANIFEST_HPP
#define GRPO_SDK_PLUGINS_MANIFEST_HPP

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace grpo::plugins {

struct ComponentManifest {
  std::string interface_id;         // "grpo.reward/1"
  std::string name;                 // "math"
  nlohmann::json options;           // {key: {type, default, minimum, maximum, enum, required, description}}; an object
  std::vector<std::string> offers;  // optional interfaces: "grpo.decode/1"
};

struct Manifest {
  std::string path;  // of the file, as given
  std::string name, version, licence;
  std::vector<ComponentManifest> components;
  std::map<std::string, std::string>
      requires_once;  // "requires": {"libtorch": "2.11.0"}: once, in this version, a process
};

// The manifest of the file at `path`. Several documents in one file are merged. Throws grpo::Error, which names the
// file and says what is wrong: not an ELF file, another class or machine (both named), cut off, no manifest section
// (not a plugin), malformed JSON (with its position), a duplicate key or component, a document over 4,000 characters.
Manifest read_manifest(const std::string& path);

// The same from the text of the section (documents "GRPO1 {...}", each ended by a 0); `path` is for messages.
Manifest parse_manifest(const std::string& section, const std::string& path);

// "reward" for "grpo.reward/1"; an id of another shape is returned whole.
std::string kind_of(const std::string& interface_id);

// One line a component: kind, name, version, licence, file. For `plugins list`.
std::string list(const std::vector<Manifest>& manifests);

// Everything a user of the library wants to know: components with their options, types, defaults, limits.
// For `plugins describe`.
std::string describe(const Manifest& manifest);

}  // namespace grpo::plugins

#endif
