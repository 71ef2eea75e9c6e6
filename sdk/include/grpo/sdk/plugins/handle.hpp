// handle.hpp: what Reward, Model, Sampler and Optimizer have in common: a component, its handle, and who may call when.
//
// The thread rule of the contract is checked on every call: a function that belongs to the thread of open throws
// grpo::Error when it comes from another one, and so does a second call at once where only one is allowed.
#ifndef GRPO_SDK_PLUGINS_HANDLE_HPP
#define GRPO_SDK_PLUGINS_HANDLE_HPP

#include <atomic>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <thread>

#include "grpo/sdk/plugins/call.hpp"
#include "grpo/sdk/plugins/options.hpp"
#include "grpo/sdk/plugins/registry.hpp"

namespace grpo::plugins {

class Services;

// How a handle is opened.
struct OpenSettings {
  std::shared_ptr<const Services> services = {};  // null: none
  std::string where = {};  // of the options in the configuration, for messages: "model"; empty: the component's name
  std::string label = {};  // of the handle in log lines and metrics; empty: the component's name
  std::function<void(double done, double total)> progress = {};  // of open: loading weights takes long
};

class Handle {
 public:
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  const Component& component() const { return *component_; }
  const std::string& name() const { return component_->manifest.name; }
  void* raw() const { return handle_; }
  const nlohmann::json& options() const { return options_.values(); }  // as the plugin got them, defaults filled in

 protected:
  Handle(std::shared_ptr<const Component> component, const nlohmann::json& options, const OpenSettings& settings);
  ~Handle() = default;
  void close() noexcept;                           // by the derived destructor
  const void* query(const char* id) const;         // nullptr: not offered
  void on_own_thread(const char* function) const;  // throws unless this is the thread of open

  std::shared_ptr<const Component> component_;
  std::shared_ptr<const ComponentServices> services_;
  Options options_;  // texts in it belong to the plugin until close
  void* handle_ = nullptr;
  bool open_ = false;
  std::thread::id thread_;
};

}  // namespace grpo::plugins

#endif
