// components.hpp: a component as a run wants it: loaded, and behind what the configuration puts in front of it.
#ifndef GRPO_SDK_TRAIN_COMPONENTS_HPP
#define GRPO_SDK_TRAIN_COMPONENTS_HPP

#include <memory>
#include <string>

#include "grpo/sdk/config/config.hpp"
#include "grpo/sdk/plugins/isolated.hpp"
#include "grpo/sdk/plugins/registry.hpp"

namespace grpo::train {

// run.check_plugins if it is given, else what the build and GRPO_CHECK_PLUGINS say.
bool check_plugins(const config::Config& config);

// Loads it, here or, with `isolate`, in a process of its own; with `check`, every call is held against the contract,
// and what breaks it goes to the run's log. Throws grpo::Error as Registry::load and plugins::isolated do.
std::shared_ptr<const plugins::Component> load_component(plugins::Registry& registry, const std::string& interface_id,
                                                         const std::string& name, bool check,
                                                         const plugins::IsolateSettings* isolate = nullptr);

// The same plugin as that of a component that is there, in a process of its own.
std::shared_ptr<const plugins::Component> isolated_component(const std::shared_ptr<const plugins::Component>& component,
                                                             bool check, const plugins::IsolateSettings& isolate);

}  // namespace grpo::train

#endif
