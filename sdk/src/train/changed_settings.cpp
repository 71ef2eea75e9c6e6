#include "changed_settings.hpp"

#include <map>
#include <sstream>

#include "grpo/sdk/error.hpp"

namespace grpo::train {
namespace {

// effective_yaml, flat: "rewards.0.weight" and its text. Elements of lists inside a section have a number each too.
std::map<std::string, std::string> flat(const config::Config& config) {
  std::map<std::string, std::string> out;
  std::istringstream in(config::effective_yaml(config));
  std::string section, list;
  int element = -1;
  for (std::string line; std::getline(in, line);) {
    const auto indent = line.find_first_not_of(" -");
    const auto colon = line.find(':', indent);
    if (indent == line.npos || colon == line.npos) continue;
    const std::string name = line.substr(indent, colon - indent);
    const std::string value = colon + 2 < line.size() ? line.substr(colon + 2) : "";
    if (indent == 0) {
      section = name;
      list.clear();
      element = -1;
    } else if (value.empty()) {  // `datasets:`
      list = name + ".";
      element = -1;
    } else {
      if (line.find('-') < indent) ++element;
      const std::string place = element < 0 ? "" : std::to_string(element) + ".";
      out[section + "." + (indent > 2 && !list.empty() ? list : "") + place + name] = value;
    }
  }
  return out;
}

// Where a run is and how it is watched is no matter of what it learns; model.path is the checkpoint itself.
bool matters(const std::string& key) {
  for (const char* other : {"run.", "model.path", "report.", "checkpoint.", "evaluation."})
    if (key.starts_with(other)) return false;
  return !key.ends_with(".record");
}

}  // namespace

std::vector<std::string> changed_settings(const std::filesystem::path& run_yaml, const config::Config& now) {
  std::map<std::string, std::string> before;
  try {
    before = flat(config::load(run_yaml));
  } catch (const Error&) {
    return {};
  }
  const auto after = flat(now);
  std::vector<std::string> out;
  for (const auto& [key, value] : after)
    if (const auto old = before.find(key); matters(key) && (old == before.end() || old->second != value))
      out.push_back(key + (old == before.end() ? " is new" : " was " + old->second + " and is now " + value));
  for (const auto& [key, value] : before)
    if (matters(key) && !after.contains(key)) out.push_back(key + " was " + value + " and is gone");
  return out;
}

}  // namespace grpo::train
