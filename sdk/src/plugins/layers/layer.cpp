#include "layer.hpp"

#include <array>
#include <atomic>
#include <new>
#include <string>
#include <utility>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/call.hpp"

namespace grpo::plugins {
namespace {

std::array<std::atomic<Layer*>, most_layers> alive{};

grpo_status open_at(std::size_t slot, const grpo_call* call, const grpo_options* options, void** handle) noexcept {
  Layer* layer = alive[slot].load(std::memory_order_acquire);
  if (!layer) return grpo_fail(call, GRPO_STATUS_INVALID, "open of a component that nobody holds any more");
  return guarded(call, [&] { return layer->open(call, options, handle); });
}

template <std::size_t Slot>
grpo_status open_slot(const grpo_call* call, const grpo_options* options, void** handle) noexcept {
  return open_at(Slot, call, options, handle);
}

template <std::size_t... Slot>
constexpr std::array<OpenFunction, sizeof...(Slot)> functions_of(std::index_sequence<Slot...>) {
  return {open_slot<Slot>...};
}
constexpr auto functions = functions_of(std::make_index_sequence<most_layers>());

std::size_t take(Layer* layer) {
  for (std::size_t slot = 0; slot < most_layers; ++slot) {
    Layer* none = nullptr;
    if (alive[slot].compare_exchange_strong(none, layer, std::memory_order_acq_rel)) return slot;
  }
  throw Error(layer->inner().label() + ": " + std::to_string(most_layers) +
              " components with a layer are open in this process, and there is no place for another; close some");
}

struct LayeredComponent {
  Component component;
  std::shared_ptr<const Layer> layer;
};

}  // namespace

Layer::Layer(std::shared_ptr<const Component> inner) : inner_(std::move(inner)), slot_(take(this)) {}
Layer::~Layer() { alive[slot_].store(nullptr, std::memory_order_release); }
OpenFunction Layer::open_function() const { return functions[slot_]; }

std::shared_ptr<const Component> layered(std::shared_ptr<const Layer> layer) {
  auto whole = std::make_shared<LayeredComponent>(LayeredComponent{layer->inner(), nullptr});
  whole->component.table = layer->table();
  whole->layer = std::move(layer);
  const Component* component = &whole->component;
  return {std::move(whole), component};
}

grpo_status fail_with(const grpo_call* call, const std::exception_ptr& error) noexcept {
  const auto tell = [call](grpo_status status, const char* text) {
    return call ? grpo_fail(call, status, text) : status;
  };
  try {
    std::rethrow_exception(error);
  } catch (const CallError& e) {
    return tell(e.status(), e.what());
  } catch (const std::bad_alloc&) {
    return tell(GRPO_STATUS_NO_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return tell(GRPO_STATUS_FAILED, e.what());
  } catch (...) {
    return tell(GRPO_STATUS_FAILED, "an exception of an unknown type");
  }
}

}  // namespace grpo::plugins
