#include "grpo/sdk/train/option_paths.hpp"

#include <grpo/model.h>
#include <grpo/optimizer.h>
#include <grpo/reward.h>
#include <grpo/sampler.h>

#include <nlohmann/json.hpp>

namespace grpo::train {
namespace {

using Json = nlohmann::ordered_json;

void resolve(config::Options& options, const nlohmann::json& schema) {
  Json values = Json::parse(options.json);
  const auto resolve_one = [&](Json& value, const std::string& key) {
    if (!value.is_string() || value.get_ref<const std::string&>().empty()) return;
    const auto from = options.origins.find(key);
    const bool from_file = from == options.origins.end() || from->second.kind == config::Origin::Kind::file;
    value = std::filesystem::absolute(
                config::resolve_path(from_file ? options.base : config::Path(), value.get<std::string>()))
                .lexically_normal()
                .string();
  };
  for (auto& [key, value] : values.items()) {
    const auto option = schema.find(key);
    if (option == schema.end() || option->value("format", "") != "path") continue;
    resolve_one(value, key);
    if (!value.is_array()) continue;
    for (std::size_t i = 0; i < value.size(); ++i) {
      const std::string element = key + "." + std::to_string(i);
      resolve_one(value[i], options.origins.contains(element) ? element : key);
    }
  }
  options.json = values.dump();
}

}  // namespace

void resolve_option_paths(config::Config& config, const plugins::Registry& registry) {
  const auto of = [&](const char* interface_id, const std::string& plugin, config::Options& options) {
    if (!options.empty() && registry.has(interface_id, plugin))
      resolve(options, registry.find(interface_id, plugin).options);
  };
  of(GRPO_MODEL_ID, config.model.plugin, config.model.options);
  of(GRPO_SAMPLER_ID, config.sampler.plugin, config.sampler.options);
  of(GRPO_OPTIMIZER_ID, config.optimizer.plugin, config.optimizer.options);
  for (auto& reward : config.rewards) of(GRPO_REWARD_ID, reward.plugin, reward.options);
}

}  // namespace grpo::train
