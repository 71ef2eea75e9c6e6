#include "grpo/sdk/plugins/manifest.hpp"

#include <algorithm>
#include <cctype>
#include <set>

#include "elf.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/options.hpp"
#include "manifest_reader.hpp"

namespace grpo::plugins {
namespace {

using nlohmann::json;

constexpr std::size_t document_limit = 4000;  // as plugin.h says
constexpr std::uint64_t section_limit = 1024 * 1024;
const std::string magic = "GRPO1 ";

// JSON in which no object has a key twice.
json parse_strictly(const std::string& text) {
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second) {
      throw Error("its manifest has the key \"" + parsed.get<std::string>() + "\" twice in one object");
    }
    return true;
  };
  try {
    return json::parse(text, watch);
  } catch (const json::parse_error& e) {
    const std::size_t at = e.byte > 0 ? e.byte - 1 : 0, from = at > 24 ? at - 24 : 0;
    throw Error("its manifest is not JSON: near character " + std::to_string(at + 1) + ", after \"" +
                text.substr(from, at - from) + "\" (GRPO_MANIFEST takes the JSON unquoted)");
  }
}

std::string text_of(const json& object, const char* key, const std::string& what) {
  const auto at = object.find(key);
  if (at == object.end()) throw Error("its manifest lacks \"" + std::string(key) + "\"" + what);
  if (!at->is_string()) throw Error("its manifest's \"" + std::string(key) + "\"" + what + " is not a string");
  return at->get<std::string>();
}

// A name that can stand in a configuration file and in a metric's name.
void check_name(const std::string& name, const std::string& what) {
  const bool good = !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '-' || c == '.';
  });
  if (!good) throw Error(what + " '" + name + "' is not a name: letters, digits, '_', '-' and '.', at most 64");
}

ComponentManifest component_of(const json& entry) {
  if (!entry.is_object()) throw Error("its manifest's \"components\" holds something that is not an object");
  ComponentManifest out;
  out.interface_id = text_of(entry, "interface", " of a component");
  const std::size_t slash = out.interface_id.rfind('/');
  const bool numbered = slash != std::string::npos && slash > 0 && slash + 1 < out.interface_id.size() &&
                        std::all_of(out.interface_id.begin() + static_cast<std::ptrdiff_t>(slash) + 1,
                                    out.interface_id.end(), [](unsigned char c) { return std::isdigit(c); });
  if (!numbered) {
    throw Error("its manifest names the interface '" + out.interface_id + "': an id looks like \"grpo.reward/1\"");
  }
  out.name = text_of(entry, "name", " of a component");
  check_name(out.name, "the component name");
  out.options = entry.value("options", json::object());
  check_option_schema(out.options, "component '" + out.name + "'");
  if (const auto offers = entry.find("offers"); offers != entry.end()) {
    if (!offers->is_array()) throw Error("component '" + out.name + "': \"offers\" is not a list");
    for (const json& id : *offers) {
      if (!id.is_string()) throw Error("component '" + out.name + "': \"offers\" holds something that is not a string");
      out.offers.push_back(id.get<std::string>());
    }
  }
  return out;
}

// "name", "version", "licence": given once, or the same each time.
void merge_text(std::string& into, const json& document, const char* key, bool first) {
  if (!first && !document.contains(key)) return;
  const std::string text = text_of(document, key, "");
  if (!first && text != into) {
    throw Error("its manifests disagree about \"" + std::string(key) + "\": '" + into + "' and '" + text + "'");
  }
  into = text;
}

void merge(Manifest& into, const json& document, bool first) {
  merge_text(into.name, document, "name", first);
  merge_text(into.version, document, "version", first);
  merge_text(into.licence, document, "licence", first);
  check_name(into.name, "the library's name");
  const auto components = document.find("components");
  if (components == document.end() || !components->is_array() || components->empty()) {
    throw Error("its manifest's \"components\" is missing, empty or not a list");
  }
  for (const json& entry : *components) {
    ComponentManifest component = component_of(entry);
    for (const ComponentManifest& other : into.components) {
      if (other.interface_id == component.interface_id && other.name == component.name) {
        throw Error("its manifest lists " + component.interface_id + " '" + component.name + "' twice");
      }
    }
    into.components.push_back(std::move(component));
  }
  if (const auto needs = document.find("requires"); needs != document.end()) {
    if (!needs->is_object()) throw Error("its manifest's \"requires\" is not an object");
    for (const auto& [what, version] : needs->items()) {
      if (!version.is_string())
        throw Error("its manifest's \"requires\": the version of \"" + what + "\" is not a string");
      const auto [at, added] = into.requires_once.emplace(what, version.get<std::string>());
      if (!added && at->second != version.get<std::string>()) {
        throw Error("its manifests require " + what + " in two versions");
      }
    }
  }
}

}  // namespace

Manifest parse_manifest_section(const std::string& section) {
  Manifest out;
  bool first = true;
  for (std::size_t at = 0; at < section.size();) {
    if (section[at] == '\0') {  // padding
      ++at;
      continue;
    }
    const std::size_t end = section.find('\0', at);
    if (end == std::string::npos) throw Error("its manifest does not end in a 0");
    const std::string document = section.substr(at, end - at);
    if (document.size() > document_limit) {
      throw Error("a manifest of " + std::to_string(document.size()) + " characters; at most " +
                  std::to_string(document_limit) + " are allowed: give each component a GRPO_MANIFEST of its own");
    }
    if (document.compare(0, magic.size(), magic) != 0) {
      throw Error("its manifest begins with \"" + document.substr(0, 8) +
                  "\", not \"GRPO1 {\": it is of a kind that this host does not know");
    }
    const json parsed = parse_strictly(document.substr(magic.size()));
    if (!parsed.is_object()) throw Error("its manifest is not an object: write GRPO_MANIFEST({ ... })");
    merge(out, parsed, first);
    first = false;
    at = end;
  }
  if (first) throw Error("its manifest is empty");
  return out;
}

Manifest read_manifest_of(const ElfFile& file) {
  const auto section = file.section(".grpo.manifest", section_limit);
  if (!section) throw Error("no manifest (section .grpo.manifest): not a plugin of this host");
  return parse_manifest_section(*section);
}

Manifest read_manifest(const std::string& path) {
  try {
    Manifest out = read_manifest_of(ElfFile(path));
    out.path = path;
    return out;
  } catch (const Error& e) {
    throw Error(path + ": " + e.what());
  }
}

Manifest parse_manifest(const std::string& section, const std::string& path) {
  try {
    Manifest out = parse_manifest_section(section);
    out.path = path;
    return out;
  } catch (const Error& e) {
    throw Error(path + ": " + e.what());
  }
}

std::string kind_of(const std::string& interface_id) {
  const std::size_t dot = interface_id.find('.'), slash = interface_id.rfind('/');
  if (dot == std::string::npos || slash == std::string::npos || slash < dot) return interface_id;
  return interface_id.substr(dot + 1, slash - dot - 1);
}

}  // namespace grpo::plugins
