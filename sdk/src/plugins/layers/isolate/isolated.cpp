#include "grpo/sdk/plugins/isolated.hpp"

#include <mutex>

#include "child.hpp"
#include "control.pb.h"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/call.hpp"
#include "helper.hpp"
#include "isolated_reward.hpp"
#include "isolated_sampler.hpp"
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

// What both kinds have in common: the process that was started to learn of the table waits for the first open.
template <class Table>
class IsolatedLayer : public Layer {
 public:
  IsolatedLayer(const std::shared_ptr<const Component>& what, std::string program, const IsolateSettings& settings,
                const LoadAnswer& loaded, std::unique_ptr<Child> first)
      : Layer(what),
        program_(std::move(program)),
        settings_(settings),
        unprotected_(loaded.unprotected),
        spare_(std::move(first)) {
    table_.struct_size = sizeof table_;
    table_.flags = loaded.flags;
    table_.open = open_function();
  }
  const grpo_table* table() const final { return reinterpret_cast<const grpo_table*>(&table_); }

 protected:
  template <class Handle>
  grpo_status open_with(std::unique_ptr<Handle> opened, const grpo_call* call, const grpo_options* options,
                        void** handle) {
    if (!unprotected_.empty())
      HostServices(call).write(GRPO_LOG_WARNING,
                               "runs in a process of its own, but this system lacks: " + unprotected_);
    std::unique_ptr<Child> first;
    {
      std::lock_guard lock(mutex_);
      first = std::move(spare_);
    }
    const grpo_status status = opened->open(call, options, std::move(first));
    if (status == GRPO_STATUS_OK) *handle = opened.release();
    return status;
  }

  const std::string program_;
  const IsolateSettings settings_;
  const std::string unprotected_;
  Table table_{};

 private:
  std::mutex mutex_;
  std::unique_ptr<Child> spare_;
};

class RewardLayer final : public IsolatedLayer<grpo_reward> {
 public:
  RewardLayer(const std::shared_ptr<const Component>& what, std::string program, const IsolateSettings& settings,
              const LoadAnswer& loaded, std::unique_ptr<Child> first)
      : IsolatedLayer(what, std::move(program), settings, loaded, std::move(first)),
        children_(children_for(*what, settings, (loaded.flags & GRPO_REWARD_CONCURRENT) != 0)) {
    if (children_ == 1) table_.flags &= ~static_cast<std::uint32_t>(GRPO_REWARD_CONCURRENT);
    table_.close = [](void* handle) noexcept { delete static_cast<IsolatedReward*>(handle); };
    table_.score = [](void* handle, const grpo_call* call, const grpo_reward_batch* batch,
                      const grpo_reward_result* result) noexcept {
      return guarded(call, [&] { return static_cast<IsolatedReward*>(handle)->score(call, batch, result); });
    };
  }
  grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) override {
    return open_with(std::make_unique<IsolatedReward>(program_, inner(), settings_, children_), call, options, handle);
  }

 private:
  int children_;
};

class SamplerLayer final : public IsolatedLayer<grpo_sampler> {
 public:
  SamplerLayer(const std::shared_ptr<const Component>& what, std::string program, const IsolateSettings& settings,
               const LoadAnswer& loaded, std::unique_ptr<Child> first)
      : IsolatedLayer(what, std::move(program), settings, loaded, std::move(first)) {
    table_.close = [](void* handle) noexcept { delete self(handle); };
    table_.describe = [](void* handle) noexcept { return self(handle)->describe(); };
    table_.generate = [](void* handle, const grpo_call* call, const grpo_feed* feed) noexcept {
      return guarded(call, [&] { return self(handle)->generate(call, feed); });
    };
    table_.cancel = [](void* handle, std::uint64_t request) noexcept {
      guarded(nullptr, [&] { return self(handle)->cancel(request), GRPO_STATUS_OK; });
    };
    table_.update_begin = [](void* handle, const grpo_call* call, std::int64_t version,
                             const grpo_tensor_sink** sink) noexcept {
      return guarded(call, [&] { return self(handle)->update_begin(call, version, sink); });
    };
    table_.update_end = [](void* handle, const grpo_call* call, std::int32_t accept) noexcept {
      return guarded(call, [&] { return self(handle)->update_end(call, accept != 0); });
    };
  }
  grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) override {
    return open_with(std::make_unique<IsolatedSampler>(program_, inner(), settings_), call, options, handle);
  }

 private:
  static IsolatedSampler* self(void* handle) { return static_cast<IsolatedSampler*>(handle); }
};

void check_kind(const Component& what) {
  const std::string& id = what.manifest.interface_id;
  if (id == GRPO_REWARD_ID || id == GRPO_SAMPLER_ID) return;
  const std::string kind = kind_of(id);
  const char* why = kind == "model"       ? "an optimizer writes into its parameters, in the memory of this process"
                    : kind == "optimizer" ? "it writes into the parameters of a model, in the memory of this process"
                                          : "this host does not know its interface";
  throw Error(what.label() + ": a plugin of the kind " + kind + " cannot run in a process of its own: " + why +
              ". Rewards can, and samplers with an engine of their own");
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
  what->entry = nullptr;
  isolate::LoadAnswer loaded;
  try {
    loaded = isolate::load_answer(*child, settings);
  } catch (const Error& e) {
    throw Error(inner->label() + ": isolated: " + e.what());
  }
  what->header_revision = loaded.header_revision;
  if (what->manifest.interface_id == GRPO_SAMPLER_ID)
    return layered(std::make_shared<isolate::SamplerLayer>(what, program, settings, loaded, std::move(child)));
  return layered(std::make_shared<isolate::RewardLayer>(what, program, settings, loaded, std::move(child)));
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
      auto apart = isolated(std::move(what), settings);
      const auto& layer = registry.settings().layer;
      return layer ? layer(std::move(apart)) : apart;
    }
  }
  throw Error("no " + kind_of(interface_id) + " plugin '" + name + "'");
}

}  // namespace grpo::plugins
