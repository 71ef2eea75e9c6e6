#include "grpo/kit/adapter.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace grpo::kit {
namespace {

using nlohmann::json;

[[noreturn]] void fail(const std::string& text) { throw std::runtime_error(text); }

std::string joined(const std::vector<std::string>& names) {
  std::string all;
  for (const auto& name : names) all += (all.empty() ? "" : ", ") + name;
  return all;
}

std::int64_t rank_of(const json& value, const std::string& where) {
  constexpr std::int64_t most = 4096;
  if (!value.is_number_integer() || value < 1 || value > most)
    fail(where + ": " + value.dump() + " is not a rank, a whole number from 1 to " + std::to_string(most));
  return value.get<std::int64_t>();
}

double number_of(const json& value, double low, double below, const std::string& where) {
  if (!value.is_number() || !(value.get<double>() >= low) || !(value.get<double>() < below))
    fail(where + ": " + value.dump() + " is not a number from " + json(low).dump() +
         (std::isfinite(below) ? " to under " + json(below).dump() : ""));
  return value.get<double>();
}

bool flag_of(const json& value, const std::string& where) {
  if (!value.is_boolean()) fail(where + ": " + value.dump() + " is neither true nor false");
  return value.get<bool>();
}

// A list of names, "all-linear", or one name.
std::vector<std::string> targets_of(const json& value, const std::string& where) {
  if (value == "all-linear") return adapter_targets();
  std::vector<std::string> targets;
  for (const auto& target : value.is_array() ? value : json::array({value})) {
    const auto& known = adapter_targets();
    const std::string name = target.is_string() ? target.get<std::string>() : "";
    if (std::find(known.begin(), known.end(), name.substr(name.rfind('.') + 1)) == known.end())
      fail(where + ": " + target.dump() + " is no matrix that can have an adapter; all-linear, or of " + joined(known));
    targets.push_back(name);
  }
  if (targets.empty()) fail(where + ": the list is empty; all-linear, or of " + joined(adapter_targets()));
  std::sort(targets.begin(), targets.end());
  targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
  return targets;
}

}  // namespace

double Adapter::scale() const {
  const auto r = static_cast<double>(rank);
  return alpha / (rslora ? std::sqrt(r) : r);
}

bool Adapter::has(std::string_view matrix) const {
  return std::any_of(targets.begin(), targets.end(), [matrix](const std::string& target) {
    return matrix == target || (matrix.ends_with(target) && matrix[matrix.size() - target.size() - 1] == '.');
  });
}

const std::vector<std::string>& adapter_targets() {
  static const std::vector<std::string> names = {"down_proj", "gate_proj", "k_proj", "o_proj",
                                                 "q_proj",    "up_proj",   "v_proj"};
  return names;
}

Adapter parse_adapter(const std::string& text, const std::string& where) {
  static const std::map<std::string, std::string> spellings = {{"r", "rank"},
                                                               {"lora_rank", "rank"},
                                                               {"lora_r", "rank"},
                                                               {"lora_alpha", "alpha"},
                                                               {"lora_dropout", "dropout"},
                                                               {"target_modules", "targets"},
                                                               {"use_rslora", "rslora"},
                                                               {"lora_target_modules", "targets"}};
  const auto given = json::parse(text, nullptr, false);
  if (!given.is_object()) fail(where + ": " + text + " is not a mapping such as {rank: 16, alpha: 32}");
  Adapter adapter;
  bool has_alpha = false;
  for (const auto& [written, value] : given.items()) {
    const auto spelling = spellings.find(written);
    const std::string key = spelling == spellings.end() ? written : spelling->second, at = where + "." + written;
    if (key == "rank")
      adapter.rank = rank_of(value, at);
    else if (key == "alpha")
      adapter.alpha = number_of(value, 0, INFINITY, at), has_alpha = true;
    else if (key == "dropout")
      adapter.dropout = number_of(value, 0, 1, at);
    else if (key == "targets")
      adapter.targets = targets_of(value, at);
    else if (key == "rslora")
      adapter.rslora = flag_of(value, at);
    else
      fail(at + ": no such key; known: rank, alpha, dropout, targets, rslora");
  }
  if (adapter.rank == 0) fail(where + ".rank: not given; 16, say (model.lora is off when it is left out altogether)");
  if (!has_alpha) adapter.alpha = 2 * static_cast<double>(adapter.rank);
  if (adapter.targets.empty()) adapter.targets = adapter_targets();
  return adapter;
}

std::optional<Adapter> read_adapter(const std::filesystem::path& directory) {
  const auto path = directory / adapter_config_file;
  std::ifstream in(path);
  if (!in) return std::nullopt;
  const auto file = json::parse(in, nullptr, false);
  if (!file.is_object()) fail(path.string() + ": not a JSON object");
  const auto where = [&](const char* key) { return path.string() + ": " + key; };
  const auto off = [&](const char* key) {  // unless it is absent, null, false, "none" or empty
    const auto at = file.find(key);
    if (at == file.end() || at->is_null() || *at == false || *at == "none" || *at == 0 ||
        (at->is_structured() && at->empty()))
      return;
    fail(where(key) + " is " + at->dump() + ", and only plain LoRA of linear layers is offered");
  };
  if (file.value("peft_type", "LORA") != "LORA") fail(where("peft_type") + " is not LORA");
  for (const char* key : {"use_dora", "bias", "modules_to_save", "rank_pattern", "alpha_pattern", "layers_to_transform",
                          "layer_replication", "fan_in_fan_out", "exclude_modules", "use_qalora",
                          "trainable_token_indices", "target_parameters", "lora_bias"})
    off(key);
  if (!file.contains("r")) fail(where("r") + " is missing");
  Adapter adapter;
  adapter.rank = rank_of(file["r"], where("r"));
  adapter.alpha = number_of(file.value("lora_alpha", json(8)), 0, INFINITY, where("lora_alpha"));
  adapter.dropout = number_of(file.value("lora_dropout", json(0)), 0, 1, where("lora_dropout"));
  adapter.rslora = flag_of(file.value("use_rslora", json(false)), where("use_rslora"));
  adapter.targets = targets_of(file.value("target_modules", json("all-linear")), where("target_modules"));
  const auto base = file.find("base_model_name_or_path");
  if (base != file.end() && base->is_string()) adapter.base = base->get<std::string>();
  return adapter;
}

std::string adapter_config(const Adapter& adapter) {
  const nlohmann::ordered_json config = {{"peft_type", "LORA"},
                                         {"task_type", "CAUSAL_LM"},
                                         {"base_model_name_or_path", adapter.base.string()},
                                         {"r", adapter.rank},
                                         {"lora_alpha", adapter.alpha},
                                         {"lora_dropout", adapter.dropout},
                                         {"target_modules", adapter.targets},
                                         {"use_rslora", adapter.rslora},
                                         {"bias", "none"},
                                         {"inference_mode", true}};
  return config.dump(2) + "\n";
}

std::string adapter_tensor(std::string_view matrix, char which) {
  return "base_model.model." + std::string(matrix) + ".lora_" + which + ".weight";
}

}  // namespace grpo::kit
