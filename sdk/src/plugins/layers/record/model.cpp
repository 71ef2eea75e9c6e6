// Recording the calls of grpo.model/1 and of its decoder. Weights are kept where they are few; of large ones a spread
// of elements, by which a replay sees whether it has the same.
#include <grpo/model.h>

#include "decode.hpp"
#include "grpo/sdk/plugins/call.hpp"
#include "recorded_layer.hpp"
#include "tensors.hpp"

namespace grpo::plugins::record {
namespace {

struct OpenedModel : Handle<grpo_model> {
  std::unique_ptr<RecordedDecode> decode;
  bool whole = false;                             // weights are kept
  std::vector<std::uint64_t> known;               // [parameter] the values that the recording knows
  std::map<std::uint64_t, std::int64_t> targets;  // of open tickets

  std::vector<const grpo_parameter*> parameters() const {
    std::int64_t n = 0;
    const grpo_parameter* const* list = nullptr;
    const Call call;
    if (table->parameters(inner, call, &n, &list) != GRPO_STATUS_OK)
      throw Error("its parameters cannot be had: " + call.error());
    return {list, list + std::max<std::int64_t>(n, 0)};
  }
  void begin();
};
OpenedModel& of(void* handle) { return *static_cast<OpenedModel*>(handle); }

void write_gradients(const OpenedModel& o, ValueList& out) {
  Pack pack(out);
  for (const grpo_parameter* p : o.parameters())
    if (p->gradient) write_spread(*p->gradient, most_elements, pack.tensor(p->name));
}

// The values that have changed since the recording last held them.
void write_values(OpenedModel& o, ValueList& out) {
  Pack pack(out);
  const auto all = o.parameters();
  o.known.resize(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    wire::Tensor value;
    if (o.whole)
      wire::write(*all[i]->value, value);
    else
      write_spread(*all[i]->value, most_elements, value);
    const std::uint64_t now = fingerprint(value.data());
    if (o.known[i] == now) continue;
    o.known[i] = now;
    pack.tensor(all[i]->name) = std::move(value);
  }
}

// What a replay needs to know of the model before the first call.
void OpenedModel::begin() {
  tape->note("parameters", [&](wire::Envelope& e) {
    std::int64_t bytes = 0;
    for (const grpo_parameter* p : parameters()) bytes += record::bytes_of(*p->value);
    whole = bytes <= most_bytes;
    Pack pack(*e.mutable_argument());
    pack.integer("whole", whole);
    record::pack(*table->describe(inner), pack.values("info"));
    write_values(*this, pack.values("value"));
  });
}

void pack_forward(const grpo_forward& a, ValueList& out) {
  const grpo_forest& f = *a.forest;
  if (f.n_extras > 0 || f.position) throw Error("extras and explicit positions cannot be recorded");
  Pack p(out);
  p.integer("flags", a.flags).number("temperature", a.temperature).list("token", f.token, f.n_tokens);
  p.list("node_start", f.node_start, f.n_nodes + 1).list("parent", f.parent, f.n_nodes);
  p.list("target_at", a.target_at, a.n_targets).list("target_token", a.target_token, a.n_targets);
  p.integer("entropy", a.entropy != nullptr);
}

template <class Run>
grpo_status recorded_call(void* handle, const char* function, const grpo_call* call, const Tape::Fill& arguments,
                          const Run& run, const Tape::Fill& results = nullptr) noexcept {
  OpenedModel& o = of(handle);
  return guarded(call, [&] {
    return o.tape->call(
        function, call, arguments, [&](const grpo_call* c, std::uint64_t) { return run(o, c); },
        [&](wire::Envelope& e, grpo_status status) {
          if (results && status == GRPO_STATUS_OK) results(e);
        });
  });
}

const grpo_decode decode_table = [] {
  grpo_decode t{};
  t.struct_size = sizeof t;
  RecordedDecode::fill(t);
  t.describe = [](void* model) noexcept { return of(model).decode->inner()->describe(of(model).inner); };
  t.session_open = [](void* model, const grpo_call* call, const grpo_decode_session* wanted, void** session) noexcept {
    return guarded(call, [&] { return of(model).decode->session_open(call, wanted, session); });
  };
  return t;
}();

class RecordedModel final : public RecordedLayer<OpenedModel> {
 public:
  RecordedModel(std::shared_ptr<const Component> inner, std::shared_ptr<Recorder> to)
      : RecordedLayer(std::move(inner), std::move(to)) {
    const grpo_model& in = *inner_table();
    if (in.query) table_.query = query;
    table_.describe = [](void* handle) noexcept { return of(handle).table->describe(of(handle).inner); };
    table_.parameters = [](void* handle, const grpo_call* call, std::int64_t* n,
                           const grpo_parameter* const** list) noexcept {
      return of(handle).table->parameters(of(handle).inner, call, n, list);
    };
    table_.forward = [](void* handle, const grpo_call* call, const grpo_forward* a) noexcept {
      return recorded_call(
          handle, "forward", call, [&](wire::Envelope& e) { pack_forward(*a, *e.mutable_argument()); },
          [&](OpenedModel& o, const grpo_call* c) { return o.table->forward(o.inner, c, a); },
          [&](wire::Envelope& e) {
            Pack p(*e.mutable_result());
            p.list("logprob", a->logprob, a->n_targets).list("entropy", a->entropy, a->n_targets);
            if (!a->ticket) return;
            p.integer("ticket", static_cast<std::int64_t>(*a->ticket));
            of(handle).targets[*a->ticket] = a->n_targets;
          });
    };
    if (in.backward) table_.backward = backward;
    if (in.drop)
      table_.drop = [](void* handle, std::uint64_t ticket) noexcept {
        of(handle).tape->note("drop", [&](wire::Envelope& e) {
          Pack(*e.mutable_argument()).integer("ticket", static_cast<std::int64_t>(ticket));
          of(handle).targets.erase(ticket);
        });
        of(handle).table->drop(of(handle).inner, ticket);
      };
    if (in.zero_grad)
      table_.zero_grad = [](void* handle, const grpo_call* call) noexcept {
        return recorded_call(handle, "zero_grad", call, nullptr,
                             [](OpenedModel& o, const grpo_call* c) { return o.table->zero_grad(o.inner, c); });
      };
    if (in.commit)
      table_.commit = [](void* handle, const grpo_call* call, std::int64_t version) noexcept {
        return recorded_call(
            handle, "commit", call,
            [&](wire::Envelope& e) {
              Pack p(*e.mutable_argument());
              p.integer("version", version);
              write_values(of(handle), p.values("value"));
            },
            [&](OpenedModel& o, const grpo_call* c) { return o.table->commit(o.inner, c, version); });
      };
    if (in.export_weights)
      table_.export_weights = [](void* handle, const grpo_call* call, const grpo_tensor_sink* sink) noexcept {
        return recorded_call(handle, "export_weights", call, nullptr, [&](OpenedModel& o, const grpo_call* c) {
          return o.table->export_weights(o.inner, c, sink);
        });
      };
    if (in.import_weights)
      table_.import_weights = [](void* handle, const grpo_call* call, std::int64_t version,
                                 const grpo_tensor_source* source) noexcept {
        return recorded_call(
            handle, "import_weights", call,
            [&](wire::Envelope& e) { Pack(*e.mutable_argument()).integer("version", version); },
            [&](OpenedModel& o, const grpo_call* c) { return o.table->import_weights(o.inner, c, version, source); },
            [&](wire::Envelope& e) { write_values(of(handle), Pack(*e.mutable_result()).values("value")); });
      };
  }

 private:
  static const void* query(void* handle, const char* id) noexcept {
    OpenedModel& o = of(handle);
    if (std::strcmp(id, GRPO_DECODE_ID) != 0) return nullptr;
    const auto* inner = static_cast<const grpo_decode*>(o.table->query(o.inner, id));
    if (!inner) return nullptr;
    try {
      if (!o.decode)
        o.decode = std::make_unique<RecordedDecode>(*o.tape, inner, o.inner, o.table->describe(o.inner)->vocabulary);
      return &decode_table;
    } catch (...) {
      return nullptr;
    }
  }

  static grpo_status backward(void* handle, const grpo_call* call, const grpo_backward* a) noexcept {
    return recorded_call(
        handle, "backward", call,
        [&](wire::Envelope& e) {
          Pack p(*e.mutable_argument());
          p.integer("ticket", static_cast<std::int64_t>(a->ticket));
          const std::int64_t n = of(handle).targets[a->ticket];
          p.list("dlogprob", a->dlogprob, n).list("dentropy", a->dentropy, n);
          of(handle).targets.erase(a->ticket);
        },
        [&](OpenedModel& o, const grpo_call* c) { return o.table->backward(o.inner, c, a); },
        [&](wire::Envelope& e) { write_gradients(of(handle), Pack(*e.mutable_result()).values("gradient")); });
  }
};

}  // namespace

std::shared_ptr<const Component> record_model(std::shared_ptr<const Component> inner, std::shared_ptr<Recorder> to) {
  return layered(std::make_shared<RecordedModel>(std::move(inner), std::move(to)));
}

}  // namespace grpo::plugins::record
