#include "quirks.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "../elf.hpp"
#include "check.hpp"
#include "grpo/sdk/error.hpp"

namespace grpo::plugins::conformance {

using nlohmann::json;

// The manifest's reader has no place for keys that only this suite knows, so the documents are read once more. They are
// sound: it has read them.
Quirks::Quirks(const std::string& path) {
  const std::string section = ElfFile(path).section(".grpo.manifest", 1024 * 1024).value_or("");
  const auto all = all_checks();
  for (std::size_t at = 0; at < section.size();) {
    const std::string document = section.substr(at, section.find('\0', at) - at);
    at += document.size() + 1;
    if (document.size() < 6) continue;
    const json parsed = json::parse(document.substr(6));
    for (const json& component : parsed["components"]) {
      const std::string name = component["name"];
      const json quirks = component.value("quirks", json::object());
      if (!quirks.is_object()) throw Error(path + ": \"quirks\" of '" + name + "' is not an object {check: why}");
      for (const auto& [check, why] : quirks.items()) {
        if (std::none_of(all.begin(), all.end(), [&, id = check](const Check& c) { return id == c.id; }))
          throw Error(path + ": \"quirks\" of '" + name + "' names '" + check +
                      "', which is no check; `plugins validate --list` shows all");
        if (!why.is_string() || why.get<std::string>().empty())
          throw Error(path + ": the quirk '" + check + "' of '" + name + "' needs a reason: a text for people");
        quirk_[{component["interface"], name}][check] = why;
      }
    }
  }
}

std::string Quirks::reason(const ComponentManifest& component, const std::string& check) const {
  const auto at = quirk_.find({component.interface_id, component.name});
  if (at == quirk_.end()) return {};
  const auto found = at->second.find(check);
  return found == at->second.end() ? "" : found->second;
}

}  // namespace grpo::plugins::conformance
