// quirks.hpp: what a plugin's manifest says that it does not keep: "quirks" of a component, {check: why}.
#ifndef GRPO_VALIDATE_QUIRKS_HPP
#define GRPO_VALIDATE_QUIRKS_HPP

#include <map>
#include <string>
#include <utility>

#include "grpo/sdk/plugins/manifest.hpp"

namespace grpo::plugins::conformance {

class Quirks {
 public:
  // Of a file whose manifest can be read. Throws grpo::Error: "quirks" is not an object of texts, or names no check.
  explicit Quirks(const std::string& path);
  // "": none
  std::string reason(const ComponentManifest& component, const std::string& check) const;

 private:
  using Key = std::pair<std::string, std::string>;           // interface, name
  std::map<Key, std::map<std::string, std::string>> quirk_;  // check to why
};

}  // namespace grpo::plugins::conformance

#endif
