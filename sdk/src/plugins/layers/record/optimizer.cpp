// Recording the calls of grpo.optimizer/1. An elementwise optimizer steps every element by itself, so the first ones of
// each slice are enough to make the calls again; of any other one the slices are kept whole, if they are not too large.
#include <grpo/optimizer.h>

#include "recorded_layer.hpp"
#include "tensors.hpp"
#include "values.hpp"

namespace grpo::plugins::record {
namespace {

struct OpenedOptimizer : Handle<grpo_optimizer> {
  std::vector<const grpo_slice*> slices;
  std::vector<std::int64_t> kept;                // [slice] elements
  std::vector<std::uint64_t> values, gradients;  // [slice] what the recording knows, by fingerprint
};

class RecordedOptimizer final : public RecordedLayer<OpenedOptimizer> {
 public:
  RecordedOptimizer(std::shared_ptr<const Component> inner, std::shared_ptr<Recorder> to)
      : RecordedLayer(std::move(inner), std::move(to)) {
    table_.bind = [](void* handle, const grpo_call* call, std::int64_t n, const grpo_slice* const* slices) noexcept {
      return guarded(call, [&] { return bind(of(handle), call, n, slices); });
    };
    table_.squared_norm = [](void* handle, const grpo_call* call, double* sum) noexcept {
      return guarded(call, [&] { return squared_norm(of(handle), call, sum); });
    };
    table_.step = [](void* handle, const grpo_call* call, const grpo_optimizer_step* s) noexcept {
      return guarded(call, [&] { return step(of(handle), call, s); });
    };
    table_.state = [](void* handle, const grpo_call* call, std::int64_t* n,
                      const grpo_named_tensor* const** list) noexcept {
      return guarded(call, [&] { return state(of(handle), call, n, list); });
    };
    table_.state_written = [](void* handle, const grpo_call* call) noexcept {
      return guarded(call, [&] { return state_written(of(handle), call); });
    };
  }

 private:
  static OpenedOptimizer& of(void* handle) { return *static_cast<OpenedOptimizer*>(handle); }

  // Those that the recording does not know yet, by their place: "0", "1", ...
  static void write_new(const OpenedOptimizer& o, bool gradients, std::vector<std::uint64_t>& known, ValueList& out) {
    Pack pack(out);
    for (std::size_t i = 0; i < o.slices.size(); ++i) {
      wire::Tensor tensor;
      write_first(gradients ? *o.slices[i]->gradient : *o.slices[i]->value, o.kept[i], tensor);
      const std::uint64_t now = fingerprint(tensor.data());
      if (known[i] == now) continue;
      known[i] = now;
      pack.tensor(std::to_string(i).c_str()) = std::move(tensor);
    }
  }

  static grpo_status bind(OpenedOptimizer& o, const grpo_call* call, std::int64_t n, const grpo_slice* const* slices) {
    o.slices.assign(slices, slices + n);
    o.values.assign(o.slices.size(), 0);
    o.gradients.assign(o.slices.size(), 0);
    const auto ask = [&](wire::Envelope& e) {
      const bool elementwise = (o.table->flags & GRPO_OPTIMIZER_ELEMENTWISE) != 0;
      std::int64_t bytes = 0;
      for (const grpo_slice* s : o.slices) {
        const std::int64_t all = wire::elements(s->value->dl);
        o.kept.push_back(elementwise ? std::min(all, most_elements) : all);
        bytes += elementwise ? 0 : 2 * record::bytes_of(*s->value);
      }
      if (bytes > most_bytes)
        throw Error("its parameters are too large (" + std::to_string(bytes >> 20) +
                    " MiB), and a part will do only for an optimizer that is GRPO_OPTIMIZER_ELEMENTWISE");
      Pack pack(*e.mutable_argument());
      for (std::size_t i = 0; i < o.slices.size(); ++i) {
        const grpo_slice& s = *o.slices[i];
        Pack slice(pack.values("slice"));
        slice.text("name", s.name).integer("flags", s.flags).integer("offset", s.offset);
        slice.integer("elements", wire::elements(s.value->dl)).list("whole_shape", s.whole_shape, s.whole_ndim);
        write_first(*s.value, o.kept[i], slice.tensor("value"));
        write_first(*s.gradient, o.kept[i], slice.tensor("gradient"));
      }
    };
    return o.tape->call("bind", call, ask,
                        [&](const grpo_call* c, std::uint64_t) { return o.table->bind(o.inner, c, n, slices); });
  }

  static grpo_status squared_norm(OpenedOptimizer& o, const grpo_call* call, double* sum) {
    return o.tape->call(
        "squared_norm", call,
        [&](wire::Envelope& e) { write_new(o, true, o.gradients, Pack(*e.mutable_argument()).values("gradient")); },
        [&](const grpo_call* c, std::uint64_t) { return o.table->squared_norm(o.inner, c, sum); },
        [&](wire::Envelope& e, grpo_status) { Pack(*e.mutable_result()).number("sum", *sum); });
  }

  static grpo_status step(OpenedOptimizer& o, const grpo_call* call, const grpo_optimizer_step* s) {
    return o.tape->call(
        "step", call,
        [&](wire::Envelope& e) {
          Pack pack(*e.mutable_argument());
          pack.integer("step", s->step).number("learning_rate", s->learning_rate);
          pack.number("gradient_scale", s->gradient_scale);
          write_new(o, true, o.gradients, pack.values("gradient"));
          write_new(o, false, o.values, pack.values("value"));
        },
        [&](const grpo_call* c, std::uint64_t) { return o.table->step(o.inner, c, s); },
        [&](wire::Envelope& e, grpo_status) {
          write_new(o, false, o.values, Pack(*e.mutable_result()).values("value"));
        });
  }

  // State as it belongs to what is kept of each slice: "<slice>@<offset>.<what>" of as many elements.
  static void write_state(const OpenedOptimizer& o, std::int64_t n, const grpo_named_tensor* const* list,
                          ValueList& out) {
    Pack pack(out);
    std::int64_t bytes = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const std::string name = list[i]->name;
      std::int64_t keep = wire::elements(list[i]->tensor->dl);
      for (std::size_t s = 0; s < o.slices.size(); ++s)
        if (keep == wire::elements(o.slices[s]->value->dl) && name.starts_with(o.slices[s]->name)) keep = o.kept[s];
      bytes += keep * list[i]->tensor->dl.bits / 8;
      if (bytes > most_bytes) throw Error("its state is too large to be kept");
      write_first(*list[i]->tensor, keep, pack.tensor(name.c_str()));
    }
  }

  static grpo_status state(OpenedOptimizer& o, const grpo_call* call, std::int64_t* n,
                           const grpo_named_tensor* const** list) {
    return o.tape->call(
        "state", call, nullptr, [&](const grpo_call* c, std::uint64_t) { return o.table->state(o.inner, c, n, list); },
        [&](wire::Envelope& e, grpo_status status) {
          if (status == GRPO_STATUS_OK) write_state(o, *n, *list, Pack(*e.mutable_result()).values("state"));
        });
  }

  static grpo_status state_written(OpenedOptimizer& o, const grpo_call* call) {
    const auto ask = [&](wire::Envelope& e) {
      std::int64_t n = 0;
      const grpo_named_tensor* const* list = nullptr;
      if (o.table->state(o.inner, call, &n, &list) != GRPO_STATUS_OK) throw Error("its state cannot be read");
      write_state(o, n, list, Pack(*e.mutable_argument()).values("state"));
    };
    return o.tape->call("state_written", call, ask,
                        [&](const grpo_call* c, std::uint64_t) { return o.table->state_written(o.inner, c); });
  }
};

}  // namespace

std::shared_ptr<const Component> record_optimizer(std::shared_ptr<const Component> inner,
                                                  std::shared_ptr<Recorder> to) {
  return layered(std::make_shared<RecordedOptimizer>(std::move(inner), std::move(to)));
}

}  // namespace grpo::plugins::record
