// layer.hpp: what stands between the host and a plugin: checks, isolation, recording.
//
// Main idea. A layer takes a loaded component and gives a component, so the handles of the host (Reward, Model,
// Sampler, Optimizer) do not know whether one is there, layers stack, and none costs nothing. Its table implements the
// contract; each handle that it opens is an object of its own that keeps the inner handle and whatever else it needs.
// That object is what its functions get back as `void* handle`.
//
// One function of a table has no handle yet: open. Its C signature has no place for the layer either, so each layer
// takes one of a fixed number of ready-made functions that know their layer (`most_layers`), for as long as it lives.
//
//     class Quiet final : public LayerOf<grpo_reward> {              // in front of a reward
//      public:
//       explicit Quiet(std::shared_ptr<const Component> inner) : LayerOf(std::move(inner)) {
//         table_.close = [](void* handle) noexcept { delete static_cast<Opened*>(handle); };
//         table_.score = [](void* handle, const grpo_call* call, const grpo_reward_batch* batch,
//                           const grpo_reward_result* result) noexcept {
//           auto& o = *static_cast<Opened*>(handle);
//           return guarded(call, [&] { return o.table->score(o.inner, call, batch, result); });
//         };
//       }
//       grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) override { ... }
//     };
//     std::shared_ptr<const Component> quiet = layered(std::make_shared<Quiet>(inner));
//
// Rules for tables. A function that the inner table lacks stays NULL. query answers with a table of the layer's own for
// the interfaces that it knows, and NULL for all others: their functions would be given the layer's handle, which the
// plugin does not know. What the inner component put into [handle] memory (descriptions) may be passed on as it is.
#ifndef GRPO_PLUGINS_LAYER_HPP
#define GRPO_PLUGINS_LAYER_HPP

#include <grpo/plugin.h>

#include <cstddef>
#include <exception>
#include <memory>

#include "grpo/sdk/plugins/registry.hpp"

namespace grpo::plugins {

using OpenFunction = grpo_status (*)(const grpo_call* call, const grpo_options* options, void** handle);

inline constexpr std::size_t most_layers = 1024;  // alive at once in a process

// A layer in front of one component. Lives as long as the component that `layered` made of it.
class Layer {
 public:
  explicit Layer(std::shared_ptr<const Component> inner);  // throws grpo::Error when most_layers are alive
  virtual ~Layer();
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  const Component& inner() const { return *inner_; }
  virtual const grpo_table* table() const = 0;  // the layer's own

  // [any thread], several at once. *handle: an object of the layer's. What it throws becomes the text of a failed call.
  virtual grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) = 0;

 protected:
  OpenFunction open_function() const;  // calls open of this layer

 private:
  std::shared_ptr<const Component> inner_;
  std::size_t slot_;
};

// The same for one kind: Table is grpo_reward, grpo_model, grpo_sampler or grpo_optimizer. The derived class sets the
// functions; size, flags and open are set.
template <class Table>
class LayerOf : public Layer {
 public:
  explicit LayerOf(std::shared_ptr<const Component> inner) : Layer(std::move(inner)) {
    table_.struct_size = sizeof table_;
    table_.flags = inner_table()->flags;
    table_.open = open_function();
  }
  const grpo_table* table() const final { return reinterpret_cast<const grpo_table*>(&table_); }
  const Table* inner_table() const { return reinterpret_cast<const Table*>(inner().table); }

 protected:
  Table table_{};
};

// The component that has this layer's table and otherwise what the inner one has: name, file, manifest, label.
std::shared_ptr<const Component> layered(std::shared_ptr<const Layer> layer);

// Runs f, a function of a table; what it throws becomes the text of a failed call. call may be null.
grpo_status fail_with(const grpo_call* call, const std::exception_ptr& error) noexcept;
template <class F>
grpo_status guarded(const grpo_call* call, F&& f) noexcept {
  try {
    return f();
  } catch (...) {
    return fail_with(call, std::current_exception());
  }
}

}  // namespace grpo::plugins

#endif
