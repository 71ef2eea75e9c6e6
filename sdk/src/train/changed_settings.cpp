#include "changed_settings.hpp"

#include <yaml-cpp/yaml.h>

#include <map>

#include "grpo/sdk/error.hpp"

namespace grpo::train {
namespace {

using Flat = std::map<std::string, std::string>;  // "rewards.0.weight" and its text

void flatten(const YAML::Node& node, const std::string& at, Flat& out) {
  const auto below = [&](const std::string& name) { return at.empty() ? name : at + "." + name; };
  if (node.IsMap()) {
    for (const auto& entry : node) flatten(entry.second, below(entry.first.Scalar()), out);
  } else if (node.IsSequence()) {
    for (std::size_t i = 0; i < node.size(); ++i) flatten(node[i], below(std::to_string(i)), out);
  } else {
    out[at] = node.Scalar();
  }
}

Flat flat(const config::Config& config) {
  Flat out;
  flatten(YAML::Load(config::effective_yaml(config)), "", out);
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
  Flat before;
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
