// Recording the calls of grpo.sampler/1: what the sampler asks of its feed and of the model that it is bound to, and
// what they answer, stands in the file as callbacks of the call in which it happens.
#include <grpo/sampler.h>

#include "feeding.hpp"
#include "recorded_layer.hpp"

namespace grpo::plugins::record {
namespace {

struct OpenedSampler : Handle<grpo_sampler> {
  std::atomic<std::uint64_t> running{0};  // the call in which callbacks are made
  const grpo_sampler_binding* bound = nullptr;
  grpo_sampler_binding front{};
  std::unique_ptr<RecordedDecode> decode;
};
OpenedSampler& of(void* handle) { return *static_cast<OpenedSampler*>(handle); }

// ---- in front of the model

const grpo_decode decode_front = [] {
  grpo_decode t{};
  t.struct_size = sizeof t;
  RecordedDecode::fill(t);
  t.describe = [](void* model) noexcept { return of(model).bound->decode_table->describe(of(model).bound->model); };
  t.session_open = [](void* model, const grpo_call* call, const grpo_decode_session* wanted, void** session) noexcept {
    return guarded(call, [&] { return of(model).decode->session_open(call, wanted, session); });
  };
  return t;
}();

// A sampler describes the model, and decodes. One that does more is let, but its recording ends there.
const grpo_model model_front = [] {
  grpo_model t{};
  t.struct_size = sizeof t;
  t.describe = [](void* model) noexcept { return of(model).bound->model_table->describe(of(model).bound->model); };
  t.parameters = [](void* model, const grpo_call* call, std::int64_t* n, const grpo_parameter* const** list) noexcept {
    return of(model).bound->model_table->parameters(of(model).bound->model, call, n, list);
  };
  t.forward = [](void* model, const grpo_call* call, const grpo_forward* a) noexcept {
    of(model).tape->note("forward", [](wire::Envelope&) {
      throw Error("the sampler calls forward of its model, which recordings of samplers do not hold");
    });
    return of(model).bound->model_table->forward(of(model).bound->model, call, a);
  };
  return t;
}();

// ---- in front of the feed

struct Feed {
  grpo_feed table{};
  const grpo_feed* outer;
  OpenedSampler& o;
  std::uint64_t parent;

  Feed(const grpo_feed* feed, OpenedSampler& opened, std::uint64_t id) : outer(feed), o(opened), parent(id) {
    table.struct_size = sizeof table;
    table.host = this;
    table.next = [](const grpo_feed* f, const grpo_call* call, std::int64_t wait_ns,
                    const grpo_request** request) noexcept {
      return static_cast<Feed*>(f->host)->next(call, wait_ns, request);
    };
    table.deliver = [](const grpo_feed* f, const grpo_call* call, const grpo_completion* c) noexcept {
      return static_cast<Feed*>(f->host)->deliver(call, c);
    };
  }
  grpo_status next(const grpo_call* call, std::int64_t wait_ns, const grpo_request** request) noexcept {
    return guarded(call, [&] {
      const auto id = o.tape->ask(
          "feed.next", call, [&](wire::Envelope& e) { Pack(*e.mutable_argument()).integer("wait_ns", wait_ns); },
          parent);
      const grpo_status status = outer->next(outer, call, wait_ns, request);
      o.tape->answer(
          id, "feed.next", status, "",
          [&](wire::Envelope& e) {
            if (status == GRPO_STATUS_OK) pack(**request, *e.mutable_result());
          },
          parent);
      return status;
    });
  }
  grpo_status deliver(const grpo_call* call, const grpo_completion* c) noexcept {
    return guarded(call, [&] {
      const auto id = o.tape->ask(
          "feed.deliver", call, [&](wire::Envelope& e) { pack(*c, *e.mutable_argument()); }, parent);
      const grpo_status status = outer->deliver(outer, call, c);
      o.tape->answer(id, "feed.deliver", status, "", nullptr, parent);
      return status;
    });
  }
};

// A call, its callbacks among it.
template <class Run>
grpo_status with_callbacks(void* handle, const char* function, const grpo_call* call, const Tape::Fill& ask,
                           const Run& run) noexcept {
  OpenedSampler& o = of(handle);
  return guarded(call, [&] {
    return o.tape->call(function, call, ask, [&](const grpo_call* c, std::uint64_t id) {
      o.running = id;
      const grpo_status status = run(o, c, id);
      o.running = 0;
      return status;
    });
  });
}

grpo_status bind(void* handle, const grpo_call* call, const grpo_sampler_binding* to) noexcept {
  return with_callbacks(
      handle, "bind", call,
      [&](wire::Envelope& e) {
        Pack p(*e.mutable_argument());
        pack(*to->model_table->describe(to->model), p.values("model"));
        if (to->decode_table) pack(*to->decode_table->describe(to->model), p.values("decode"));
      },
      [&](OpenedSampler& o, const grpo_call* c, std::uint64_t) {
        o.bound = to;
        o.front = {sizeof o.front,     to->flags, &o, &model_front, to->decode_table ? &decode_front : nullptr,
                   to->model_revision, 0};
        if (to->decode_table)
          o.decode = std::make_unique<RecordedDecode>(*o.tape, to->decode_table, to->model,
                                                      to->model_table->describe(to->model)->vocabulary, &o.running);
        return o.table->bind(o.inner, c, &o.front);
      });
}

grpo_status update_begin(void* handle, const grpo_call* call, std::int64_t version,
                         const grpo_tensor_sink** sink) noexcept {
  OpenedSampler& o = of(handle);
  o.tape->note("update_begin", [&](wire::Envelope& e) { Pack(*e.mutable_argument()).integer("version", version); });
  return o.table->update_begin(o.inner, call, version, sink);
}

class RecordedSampler final : public RecordedLayer<OpenedSampler> {
 public:
  RecordedSampler(std::shared_ptr<const Component> inner, std::shared_ptr<Recorder> to)
      : RecordedLayer(std::move(inner), std::move(to)) {
    const grpo_sampler& in = *inner_table();
    table_.close = [](void* handle) noexcept {
      const std::unique_ptr<OpenedSampler> o(&of(handle));
      o->running = o->tape->ask("close", nullptr);
      o->table->close(o->inner);
    };
    table_.describe = [](void* handle) noexcept { return of(handle).table->describe(of(handle).inner); };
    if (in.bind) table_.bind = bind;
    table_.generate = [](void* handle, const grpo_call* call, const grpo_feed* feed) noexcept {
      return with_callbacks(handle, "generate", call, nullptr,
                            [&](OpenedSampler& o, const grpo_call* c, std::uint64_t id) {
                              Feed front(feed, o, id);
                              return o.table->generate(o.inner, c, &front.table);
                            });
    };
    table_.cancel = [](void* handle, std::uint64_t request) noexcept {
      OpenedSampler& o = of(handle);
      o.tape->ask(
          "cancel", nullptr,
          [&](wire::Envelope& e) {
            Pack(*e.mutable_argument()).integer("request", static_cast<std::int64_t>(request));
          },
          o.running);
      o.table->cancel(o.inner, request);
    };
    if (in.pause)
      table_.pause = [](void* handle, const grpo_call* call, std::int32_t mode) noexcept {
        of(handle).tape->note("pause");
        return of(handle).table->pause(of(handle).inner, call, mode);
      };
    if (in.resume)
      table_.resume = [](void* handle, const grpo_call* call) noexcept {
        return of(handle).table->resume(of(handle).inner, call);
      };
    if (in.update_begin) table_.update_begin = update_begin;
    if (in.update_end)
      table_.update_end = [](void* handle, const grpo_call* call, std::int32_t accept) noexcept {
        return of(handle).table->update_end(of(handle).inner, call, accept);
      };
    if (in.model_changed)
      table_.model_changed = [](void* handle, std::int64_t version) noexcept {
        with_callbacks(
            handle, "model_changed", nullptr,
            [&](wire::Envelope& e) { Pack(*e.mutable_argument()).integer("version", version); },
            [&](OpenedSampler& o, const grpo_call*, std::uint64_t) {
              o.table->model_changed(o.inner, version);
              return grpo_status{GRPO_STATUS_OK};
            });
      };
  }
};

}  // namespace

std::shared_ptr<const Component> record_sampler(std::shared_ptr<const Component> inner, std::shared_ptr<Recorder> to) {
  return layered(std::make_shared<RecordedSampler>(std::move(inner), std::move(to)));
}

}  // namespace grpo::plugins::record
