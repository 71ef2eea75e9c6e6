#include "grpo/sdk/train/components.hpp"

#include "grpo/sdk/plugins/checked.hpp"
#include "grpo/sdk/report/console.hpp"

namespace grpo::train {

bool check_plugins(const config::Config& config) {
  const bool given = config.origin("run.check_plugins").kind != config::Origin::Kind::built_in;
  return given ? config.run.check_plugins : plugins::check_by_default();
}

namespace {

std::shared_ptr<const plugins::Component> with_checks(std::shared_ptr<const plugins::Component> component, bool check) {
  if (!check) return component;
  plugins::CheckSettings settings;
  settings.sink = [](const plugins::Violation& violation) {
    const bool clear = violation.rule->severity == plugins::Severity::violation;
    report::log(clear ? report::Level::error : report::Level::warning, violation.text());
  };
  return plugins::checked(std::move(component), std::move(settings));
}

}  // namespace

std::shared_ptr<const plugins::Component> load_component(plugins::Registry& registry, const std::string& interface_id,
                                                         const std::string& name, bool check,
                                                         const plugins::IsolateSettings* isolate) {
  return with_checks(
      isolate ? plugins::isolated(registry, interface_id, name, *isolate) : registry.load(interface_id, name), check);
}

std::shared_ptr<const plugins::Component> isolated_component(const std::shared_ptr<const plugins::Component>& component,
                                                             bool check, const plugins::IsolateSettings& isolate) {
  return with_checks(plugins::isolated(component, isolate), check);
}

}  // namespace grpo::train
