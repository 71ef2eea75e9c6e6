#include "plugins.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "boundary.hpp"
#include "grpo/sdk/train/session.hpp"

using namespace grpo;
using embed::guarded;
using embed::needed;

grpo_status grpo_embed_plugins_open(const char* const* places, int64_t n, grpo_embed_plugins** plugins,
                                    grpo_embed_error* error) {
  return guarded(error, [&]() -> grpo_status {
    embed::quiet_once();
    needed(plugins, "plugins") = nullptr;
    embed::check_count(n, "n");
    std::vector<std::filesystem::path> paths;
    if (n > 0) needed(places, "places");
    for (int64_t i = 0; i < n; ++i) paths.emplace_back(&needed(places[i], "one of the places"));
    *plugins = new grpo_embed_plugins{train::make_registry(paths), {}};
    return GRPO_STATUS_OK;
  });
}

grpo_status grpo_embed_plugins_list(grpo_embed_plugins* plugins, grpo_embed_text* json, grpo_embed_error* error) {
  embed::clear(json);
  return guarded(error, [&]() -> grpo_status {
    auto& registry = needed(plugins, "plugins").registry;
    needed(json, "json");
    const std::lock_guard lock(plugins->mutex);
    nlohmann::json list = {{"plugins", nlohmann::json::array()}, {"refused", nlohmann::json::array()}};
    for (const auto& m : registry.manifests()) {
      nlohmann::json plugin = {{"name", m.name}, {"version", m.version},        {"licence", m.licence},
                               {"path", m.path}, {"requires", m.requires_once}, {"components", nlohmann::json::array()}};
      for (const auto& c : m.components)
        plugin["components"].push_back({{"kind", plugins::kind_of(c.interface_id)},
                                        {"interface", c.interface_id},
                                        {"name", c.name},
                                        {"options", c.options},
                                        {"offers", c.offers}});
      list["plugins"].push_back(std::move(plugin));
    }
    for (const auto& r : registry.refusals())
      list["refused"].push_back({{"path", r.path}, {"reason", r.reason}, {"is_plugin", r.is_plugin}});
    embed::give(json, list);
    return GRPO_STATUS_OK;
  });
}

void grpo_embed_plugins_close(grpo_embed_plugins* plugins) { delete plugins; }
