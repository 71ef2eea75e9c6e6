// support.hpp: checked components of broken plugins, driven through their tables, and what the checks said.
#ifndef GRPO_TESTS_CHECK_SUPPORT_HPP
#define GRPO_TESTS_CHECK_SUPPORT_HPP

#include <grpo/host.h>

#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "grpo/sdk/plugins/call.hpp"
#include "grpo/sdk/plugins/checked.hpp"
#include "grpo/sdk/plugins/options.hpp"
#include "grpo/sdk/plugins/services.hpp"

namespace grpo::plugins {

// What the checks said. [any thread] Sinks may outlive it: a thread that a plugin left behind is told of later.
class Said {
 public:
  CheckSettings settings() {
    return {[state = state_](const Violation& v) {
      std::lock_guard lock(state->mutex);
      state->all.push_back(v);
    }};
  }
  std::vector<Violation> all() const {
    std::lock_guard lock(state_->mutex);
    return state_->all;
  }
  bool has(const std::string& rule) const {
    for (const Violation& v : all())
      if (rule == v.rule->id) return true;
    return false;
  }
  std::string text() const {
    std::string out;
    for (const Violation& v : all()) out += v.text() + "\n";
    return out;
  }

 private:
  struct State {
    std::mutex mutex;
    std::vector<Violation> all;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// The services of a host, with collectives that do nothing.
std::shared_ptr<const ComponentServices> test_services();

std::shared_ptr<const Component> broken(const std::string& interface_id, const std::string& name);

// A handle of a checked component, with what open needs. Closes it unless that was done.
template <class Table>
struct Driven {
  Driven(Said& said, const char* interface_id, const std::string& name, const std::string& how,
         const nlohmann::json& schema = {{"how", {{"type", "string"}, {"default", ""}}}})
      : component(checked(broken(interface_id, name), said.settings())),
        table(reinterpret_cast<const Table*>(component->table)),
        options(schema.empty() ? nlohmann::json::object() : nlohmann::json{{"how", how}}, schema, name),
        call(test_services()),
        opened(table->open(call, options.get(), &handle)) {}
  ~Driven() { close(); }
  void close() {
    if (opened == GRPO_STATUS_OK) table->close(handle);
    opened = GRPO_STATUS_END;
  }
  std::shared_ptr<const Component> component;
  const Table* table;
  Options options;
  Call call;
  void* handle = nullptr;
  grpo_status opened;
};

// What breaks a rule.
struct Case {
  std::string rule;
  bool by_caller;
  std::function<void(Said&)> run;
};
std::vector<Case> reward_cases();
std::vector<Case> model_cases();
std::vector<Case> decode_cases();
std::vector<Case> sampler_cases();
std::vector<Case> optimizer_cases();

}  // namespace grpo::plugins

#endif
