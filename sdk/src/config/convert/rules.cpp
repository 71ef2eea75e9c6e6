#include "rules.hpp"

#include <map>
#include <sstream>

namespace grpo::config {
namespace {

// Several of our lists are one value or several there.
bool holds(const Draft& d, const std::string& option, const std::string& wanted) {
  const json* value = d.theirs.find(option);
  if (!value) return false;
  if (value->is_array()) return std::find(value->begin(), value->end(), json(wanted)) != value->end();
  return value->is_string() && value->get<std::string>().find(wanted) != std::string::npos;
}

// "all-linear", "q_proj,k_proj", a list of either; Megatron's fused matrices are several here.
json lora_targets(const json& theirs) {
  static const std::map<std::string, std::vector<std::string>> fused = {{"linear_qkv", {"q_proj", "k_proj", "v_proj"}},
                                                                        {"linear_proj", {"o_proj"}},
                                                                        {"linear_fc1", {"gate_proj", "up_proj"}},
                                                                        {"linear_fc2", {"down_proj"}}};
  json out = json::array();
  for (const auto& element : theirs.is_array() ? theirs : json::array({theirs})) {
    if (!element.is_string()) return theirs;
    std::istringstream names(element.get<std::string>());
    for (std::string name; std::getline(names, name, ',');) {
      if (name == "all-linear") return name;
      const auto known = fused.find(name);
      if (known == fused.end()) out.push_back(name);
      if (known != fused.end())
        for (const auto& matrix : known->second) out.push_back(matrix);
    }
  }
  return out;
}

}  // namespace

void tensorboard(Draft& d, const std::string& option, const std::string& metric_names) {
  if (holds(d, option, "tensorboard")) d.set("report.tensorboard", true, option);
  d.set("report.metric_names", json::array({metric_names}), "their names beside ours");
  d.told({option});
}

void minibatches(Draft& d, const std::string& batch, double batch_default, const std::string& mini,
                 double mini_default) {
  const double steps = d.number(batch, batch_default) / std::max(1.0, d.number(mini, mini_default));
  d.set("algorithm.minibatches", std::max(1.0, std::round(steps)), batch + " / " + mini);
  d.told({mini});
}

void lora(Draft& d, const std::string& rank, const std::string& alpha, const std::string& targets,
          const std::string& dropout) {
  d.told({rank, alpha, targets, dropout});
  if (d.number(rank, 0) <= 0) return;
  json value = {{"rank", d.number(rank, 0)}};
  if (d.given(alpha)) value["alpha"] = *d.theirs.find(alpha);
  if (d.given(targets)) value["targets"] = lora_targets(*d.theirs.find(targets));
  if (!dropout.empty() && d.given(dropout)) value["dropout"] = *d.theirs.find(dropout);
  d.set("model.lora", value, rank + " and beside it");
}

void adam(Draft& d, const std::string& beta1, const std::string& beta2, const std::string& epsilon) {
  json options = json::object();
  for (const auto& [name, option] : {std::pair{"beta1", beta1}, {"beta2", beta2}, {"epsilon", epsilon}})
    if (d.given(option)) options[name] = *d.theirs.find(option);
  if (!options.empty()) d.set("optimizer.options", options, beta1 + " and beside it");
  d.told({beta1, beta2, epsilon});
}

void gsm8k_columns(Draft& d, const std::string& path_option) {
  if (d.text(path_option).find("gsm8k") == std::string::npos) return;
  d.set("data.prompt_key", "question", "GSM8K's column");
  d.set("data.answer_key", "answer", "GSM8K's column");
}

void needs_file(Draft& d, const std::string& option) {
  if (!d.given(option)) return;
  d.look(option + ": " + d.text(option) +
         ": data.path is a file of JSON Lines here, and its columns are data.prompt_key and data.answer_key");
}

void needs_directory(Draft& d, const std::string& option) {
  const std::string path = d.text(option);
  if (path.empty() || path[0] == '/' || path[0] == '.' || path[0] == '~') return;
  d.look(option + ": " + path + ": model.path is a directory here; nothing is downloaded");
}

void held_out(Draft& d, const std::string& option) {
  if (d.given(option)) d.set("evaluation.path", d.text(option), option);
  d.told({option});
}

void math(Draft& d, const std::string& why, json options) {
  if (d.has("rewards")) return;
  json reward = {{"plugin", "math"}};
  if (!options.empty()) reward["options"] = std::move(options);
  d.set("rewards", json::array({reward}), why);
  d.look("rewards: " + why + ": `math` is a guess, docs/rewards.md has the others");
}

void python_reward(Draft& d, const std::string& path_option, const std::string& name_option,
                   const std::string& kwargs_option) {
  if (!d.given(path_option)) return;
  std::string function = d.text(path_option);
  if (!name_option.empty() && d.given(name_option)) function += ":" + d.text(name_option);
  json options = {{"function", function}};
  for (const auto& option : d.theirs.all())
    if (option.name.starts_with(kwargs_option + ".") && !option.value.is_null())
      options["kwargs"][option.name.substr(kwargs_option.size() + 1)] = option.value;
  d.set("rewards", json::array({{{"plugin", "python"}, {"options", options}}}), path_option);
  d.told({path_option, name_option, kwargs_option + "*"});
}

void filter_overlong(Draft& d, bool filters, const std::string& truncation, const std::string& comment) {
  d.set("data.overlong_prompts", filters ? "drop" : truncation == "left" ? "truncate_left" : "error", comment);
}

void apply_rules(Draft& d) {
  const std::string& name = d.system.name;
  if (name == "verl") verl(d);
  if (name == "EasyR1") easyr1(d);
  if (name == "AReaL 1.0") areal_1(d);
  if (name == "AReaL 0.2") areal_02(d);
  if (name == "MindSpeed-RL") mindspeed(d);
  if (name == "TRL") trl(d);
}

}  // namespace grpo::config
