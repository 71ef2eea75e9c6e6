#include "suggest.hpp"

#include <algorithm>
#include <grpo/sdk/config/nearest.hpp>
#include <string_view>
#include <utility>

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

// Sections of other trainers' configurations, and the page that says where their keys are here.
constexpr std::pair<std::string_view, std::string_view> foreign[] = {{"actor_rollout_ref", "verl"},
                                                                     {"trainer", "verl"},
                                                                     {"critic", "verl"},
                                                                     {"reward_model", "verl"},
                                                                     {"custom_reward_function", "verl"},
                                                                     {"worker", "easyr1"},
                                                                     {"actor", "areal"},
                                                                     {"gconfig", "areal"},
                                                                     {"train_dataset", "areal"},
                                                                     {"valid_dataset", "areal"},
                                                                     {"saver", "areal"},
                                                                     {"recover", "areal"},
                                                                     {"cluster", "areal"},
                                                                     {"ppo", "areal"},
                                                                     {"exp_ctrl", "areal"},
                                                                     {"dataset", "areal"},
                                                                     {"actor_config", "simplerl-mindspeed"},
                                                                     {"rl_config", "simplerl-mindspeed"},
                                                                     {"megatron_training", "simplerl-mindspeed"},
                                                                     {"generate_config", "simplerl-mindspeed"}};

std::string page_of(const std::string& section) {
  for (const auto& [name, page] : foreign)
    if (section == name)
      return " Where the keys of others are here: docs/coming-from/" + std::string(page) +
             ".md; `grpo-host convert FILE` writes a whole file of theirs as one of ours";
  return "";
}

}  // namespace

std::string unknown_section(const std::string& name, const std::string& key) {
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
  if (const std::string page = page_of(name); !page.empty()) {
    const auto knows = [&](const Section& s) { return !s.is_nested() && key.size() > 1 && s.find(key); };
    const bool once = std::count_if(sections().begin(), sections().end(), knows) == 1;
    return "unknown section `" + name + "`." + (once ? " " + key_elsewhere(key, nullptr) + "." : "") + page;
  }
  const std::string elsewhere = key_elsewhere(name, nullptr);
  if (!elsewhere.empty()) return "unknown section `" + name + "`. " + elsewhere;
  return "unknown section `" + name + "`." + did_you_mean(name, names) + " There are: " + list;
}

std::string not_nested(const Section& section, const std::string& prefix, const std::vector<std::string>& inside) {
  std::string known, others;
  for (const auto& name : inside) {
    if (const Key* key = section.find(name))
      known += (known.empty() ? ": `" : ", `") + name + "` is " + prefix + key->name;
    else
      others = " (docs/coming-from has the others)";
  }
  return known.empty() ? "" : known + others;
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
