#include "grpo/sdk/plugins/isolated.hpp"

#include <mutex>

#include "child.hpp"
#include "control.pb.h"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/call.hpp"
#include "helper.hpp"
#include "isolated_reward.hpp"
#include "layers/layer.hpp"
#include "loading.hpp"

namespace grpo::plugins {
namespace isolate {

LoadAnswer load_answer(Child& child, const IsolateSettings& settings) {
  wire::ToHost answer;
  const auto got =
      child.wait(answer, monotonic_now_ns() + static_cast<std::int64_t>(std::min(settings.open_seconds, 1e9) * 1e9));
  if (got == Child::Wait::ended) throw Error(child.how() + ", while the library was loaded");
  if (got == Child::Wait::late)
    throw Error("the library was not loaded within " + std::to_string(static_cast<long long>(settings.open_seconds)) +
                " s");
  if (!answer.has_started()) throw Error("its process answered something else than that it is loaded");
  if (!answer.started().error().empty()) throw Error(answer.started().error());
  return {answer.started().flags(), answer.started().header_revision(), answer.started().unprotected()};
}

namespace {

int children_for(const Component& what, const IsolateSettings& settings, bool concurrent) {
  if (settings.children > 1 && !concurrent)
    throw Error(what.label() +
                " takes one call at a time (it does not declare GRPO_REWARD_CONCURRENT), so it cannot run in " +
                std::to_string(settings.children) + " processes: leave `children` out");
  if (settings.children > 0) return settings.children;
  return concurrent ? std::max(1, settings.threads) : 1;
}

class IsolatedLayer final : public Layer {
 public:
  IsolatedLayer(const std::shared_ptr<const Component>& what, std::string program, const IsolateSettings& settings,
                const LoadAnswer& loaded, std::unique_ptr<Child> first)
      : Layer(what),
        program_(std::move(program)),
        settings_(settings),
        unprotected_(loaded.unprotected),
        spare_(std::move(first)) {
    const bool concurrent = (loaded.flags & GRPO_REWARD_CONCURRENT) != 0;
    children_ = children_for(*what, settings, concurrent);
    table_.struct_size = sizeof table_;
    table_.flags = loaded.flags;
    if (children_ == 1) table_.flags &= ~static_cast<std::uint32_t>(GRPO_REWARD_CONCURRENT);
    table_.open = open_function();
    table_.close = [](void* handle) noexcept { delete static_cast<IsolatedReward*>(handle); };
    table_.score = [](void* handle, const grpo_call* call, const grpo_reward_batch* batch,
                      const grpo_reward_result* result) noexcept {
      return guarded(call, [&] { return static_cast<IsolatedReward*>(handle)->score(call, batch, result); });
    };
  }

  const grpo_table* table() const override { return reinterpret_cast<const grpo_table*>(&table_); }

  grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) override {
    auto reward = std::make_unique<IsolatedReward>(program_, inner(), settings_, children_);
    if (!unprotected_.empty())
      HostServices(call).write(GRPO_LOG_WARNING,
                               "runs in a process of its own, but this system lacks: " + unprotected_);
    std::unique_ptr<Child> first;
    {
      std::lock_guard lock(mutex_);
      first = std::move(spare_);
    }
    const grpo_status status = reward->open(call, options, std::move(first));
    if (status == GRPO_STATUS_OK) *handle = reward.release();
    return status;
  }

 private:
  std::string program_;
  IsolateSettings settings_;
  std::string unprotected_;
  int children_ = 1;
  grpo_reward table_{};
  std::mutex mutex_;
  std::unique_ptr<Child> spare_;  // it has told what the table says, and waits for the first open
};

void check_kind(const Component& what) {
  if (what.manifest.interface_id == GRPO_REWARD_ID) return;
  const std::string kind = kind_of(what.manifest.interface_id);
  const char* why = kind == "sampler"
                        ? "a sampler drives the model of this process, token by token, or takes its weights"
                    : kind == "model"     ? "an optimizer writes into its parameters, in the memory of this process"
                    : kind == "optimizer" ? "it writes into the parameters of a model, in the memory of this process"
                                          : "this host does not know its interface";
  throw Error(what.label() + ": a " + kind + " cannot run in a process of its own: " + why + ". Rewards can");
}

}  // namespace
}  // namespace isolate

std::shared_ptr<const Component> isolated(std::shared_ptr<const Component> inner, const IsolateSettings& settings) {
  isolate::check_kind(*inner);
  const std::string program =
      find_helper("grpo-plugin-host", settings.program, "runs a plugin in a process of its own");
  auto child = std::make_unique<isolate::Child>(program, *inner, settings);
  auto what = std::make_shared<Component>(*inner);
  what->table = nullptr;  // it is in the other process
  isolate::LoadAnswer loaded;
  try {
    loaded = isolate::load_answer(*child, settings);
  } catch (const Error& e) {
    throw Error(inner->label() + ": isolated: " + e.what());
  }
  what->header_revision = loaded.header_revision;
  return layered(std::make_shared<isolate::IsolatedLayer>(what, program, settings, loaded, std::move(child)));
}

std::shared_ptr<const Component> isolated(const Registry& registry, const std::string& interface_id,
                                          const std::string& name, const IsolateSettings& settings) {
  registry.find(interface_id, name);  // throws when there is none, or two
  for (const Manifest& manifest : registry.manifests()) {
    for (const ComponentManifest& component : manifest.components) {
      if (component.interface_id != interface_id || component.name != name) continue;
      auto what = std::make_shared<Component>();
      what->plugin = manifest.name;
      what->version = manifest.version;
      what->path = manifest.path;
      what->manifest = component;
      return isolated(std::move(what), settings);
    }
  }
  throw Error("no " + kind_of(interface_id) + " plugin '" + name + "'");
}

}  // namespace grpo::plugins
