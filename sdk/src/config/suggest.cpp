#include "suggest.hpp"

#include <grpo/sdk/config/nearest.hpp>

namespace grpo::config {
namespace {

// A key known by just this spelling in another section.
std::string key_elsewhere(const std::string& name, const Section* but) {
  for (const auto& section : sections())
    if (&section != but)
      if (const Key* key = section.find(name); key && name.size() > 1 && name != "options" && name != "plugin")
        return "It belongs to `" + section.name + "`: " + section.name + "." + key->name;
  return "";
}

}  // namespace

std::string unknown_section(const std::string& name) {
  std::vector<std::string> names;
  std::string list;
  for (const auto& section : sections()) {
    if (section.is_nested()) continue;
    names.push_back(section.name);
    list += (list.empty() ? "" : ", ") + section.name;
  }
  const auto dot = name.find('.');
  if (dot != std::string::npos && find_section(name.substr(0, dot)))
    return "unknown section `" + name + "`: in a file write it as `" + name.substr(0, dot) + ":` with `" +
           name.substr(dot + 1) + "` indented under it";
  const std::string elsewhere = key_elsewhere(name, nullptr);
  if (!elsewhere.empty()) return "unknown section `" + name + "`. " + elsewhere;
  return "unknown section `" + name + "`." + did_you_mean(name, names) + " There are: " + list;
}

std::string unknown_key(const Section& section, const std::string& prefix, const std::string& name) {
  const std::string opening = "unknown key " + prefix + name + ".";
  const std::string elsewhere = key_elsewhere(name, &section);
  if (!elsewhere.empty()) return opening + " " + elsewhere;
  std::vector<std::string> spellings = section.names();
  for (const auto& key : section.keys) spellings.insert(spellings.end(), key.aliases.begin(), key.aliases.end());
  const std::string hint = did_you_mean(name, spellings);
  if (!hint.empty()) return opening + hint;
  std::string list;
  for (const auto& known : section.names()) list += (list.empty() ? "" : ", ") + known;
  const bool has_options = section.find("options") != nullptr;
  return opening + " `" + section.name + "` has: " + list +
         (has_options ? ". An option of the plugin goes under `options:`" : "");
}

}  // namespace grpo::config
