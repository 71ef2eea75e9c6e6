// Samplers: bound once, every request answered, updates in order.
#include "sampler.hpp"

#include <algorithm>
#include <cstring>

#include "kinds.hpp"
#include "streams.hpp"

namespace grpo::plugins::check {

SamplerHandle::~SamplerHandle() = default;

const grpo_sampler_info* SamplerHandle::look_at_info(Run& run) {
  const grpo_sampler_info* now = table->describe(inner);
  if (!run.check_struct(now, "grpo_sampler_info")) return nullptr;
  std::lock_guard lock(info_mutex);
  const grpo_sampler_info copy = copy_of(*now);
  const bool may_change = !info || (binds() && !bound);  // "complete after bind"
  if (info && now != info) run.broken(rule::struct_changed, "describe gave another pointer than before");
  if (!may_change && std::memcmp(&copy, &said, sizeof copy) != 0)
    run.broken(rule::struct_changed, "the description changed");
  info = now;
  said = copy;
  return now;
}

namespace {

const grpo_sampler_info* describe(void* handle) noexcept {
  return visit<SamplerHandle>(handle, "describe", Threads::any, static_cast<const grpo_sampler_info*>(nullptr),
                              [](SamplerHandle& h, Run& run) { return h.look_at_info(run); });
}

const void* query(void* handle, const char* id) noexcept {
  return visit<SamplerHandle>(handle, "query", Threads::same, static_cast<const void*>(nullptr),
                              [id](SamplerHandle& h, Run& run) -> const void* {
                                if (!id)
                                  run.wrong(rule::query_id, "the id is NULL");
                                else if (h.table->query(h.inner, id))
                                  run.broken(rule::query_unknown, id);
                                return nullptr;
                              });
}

grpo_status bind(void* handle, const grpo_call* call, const grpo_sampler_binding* binding) noexcept {
  return perform<SamplerHandle>(handle, "bind", Threads::same, call, [&](SamplerHandle& h, Run& run) -> grpo_status {
    if (!binding || too_short(binding) || !binding->model_table)
      return run.wrong(rule::sampler_arguments, "the binding is NULL, too short, or lacks the model"),
             GRPO_STATUS_INVALID;
    if (h.bound) return run.wrong(rule::sampler_unbound, "it is bound already"), GRPO_STATUS_INVALID;
    h.binding = copy_of(*binding);  // [handle]: it lasts
    h.binding.struct_size = sizeof h.binding;
    if (const grpo_model_info* model = binding->model_table->describe(binding->model)) h.vocabulary = model->vocabulary;
    const grpo_status status = h.table->bind(h.inner, run.call(), &h.binding);
    h.look_at_info(run);
    h.bound = status == GRPO_STATUS_OK;
    return status;
  });
}

grpo_status generate(void* handle, const grpo_call* call, const grpo_feed* feed) noexcept {
  return perform<SamplerHandle>(
      handle, "generate", Threads::same, call, [&](SamplerHandle& h, Run& run) -> grpo_status {
        if (!feed || too_short(feed) || !feed->next || !feed->deliver)
          return run.wrong(rule::sampler_arguments, "the feed is NULL, too short, or lacks a function"),
                 GRPO_STATUS_INVALID;
        if (h.binds() && !h.bound) return run.wrong(rule::sampler_unbound, "it is not bound yet"), GRPO_STATUS_INVALID;
        if (h.updating) return run.wrong(rule::sampler_update, "an update is under way"), GRPO_STATUS_INVALID;
        if (h.generating.exchange(true))
          return run.wrong(rule::sampler_arguments, "generate runs already"), GRPO_STATUS_INVALID;
        CheckedFeed* checked;
        {
          std::lock_guard lock(h.feeds_mutex);
          h.feeds.push_back(std::make_unique<CheckedFeed>(h, feed));
          if (h.feeds.size() > 4) h.feeds.pop_front();
          checked = h.feeds.back().get();
          h.cancelled.clear();
          h.cut_short = false;
        }
        const grpo_status status = h.table->generate(h.inner, run.call(), checked->table());
        h.generating = false;
        run.allow(checked->told);  // it passes on what the feed said
        checked->look_at_end(run, status);
        checked->end();
        return status;
      });
}

void cancel(void* handle, std::uint64_t request) noexcept {
  visit<SamplerHandle>(handle, "cancel", Threads::any, 0, [request](SamplerHandle& h, Run&) {
    {
      std::lock_guard lock(h.feeds_mutex);
      h.cancelled.insert(request);
    }
    h.table->cancel(h.inner, request);
    return 0;
  });
}

grpo_status pause(void* handle, const grpo_call* call, std::int32_t mode) noexcept {
  return perform<SamplerHandle>(
      handle, "pause", Threads::one_at_a_time, call, [mode](SamplerHandle& h, Run& run) -> grpo_status {
        if (mode < GRPO_PAUSE_KEEP || mode > GRPO_PAUSE_CANCEL)
          return run.wrong(rule::sampler_pause, "the mode " + std::to_string(mode)), GRPO_STATUS_INVALID;
        if (h.paused) return run.wrong(rule::sampler_pause, "it is paused already"), GRPO_STATUS_INVALID;
        if (mode == GRPO_PAUSE_CANCEL) h.cut_short = true;
        const grpo_status status = h.table->pause(h.inner, run.call(), mode);
        h.paused = status == GRPO_STATUS_OK;
        return status;
      });
}

grpo_status resume(void* handle, const grpo_call* call) noexcept {
  return perform<SamplerHandle>(handle, "resume", Threads::one_at_a_time, call,
                                [](SamplerHandle& h, Run& run) -> grpo_status {
                                  if (!h.paused)
                                    return run.wrong(rule::sampler_pause, "it is not paused"), GRPO_STATUS_INVALID;
                                  const grpo_status status = h.table->resume(h.inner, run.call());
                                  h.paused = status != GRPO_STATUS_OK;
                                  return status;
                                });
}

grpo_status update_begin(void* handle, const grpo_call* call, std::int64_t version,
                         const grpo_tensor_sink** sink) noexcept {
  return perform<SamplerHandle>(
      handle, "update_begin", Threads::one_at_a_time, call, [&](SamplerHandle& h, Run& run) -> grpo_status {
        if (!sink) return run.wrong(rule::sampler_arguments, "no place for the sink"), GRPO_STATUS_INVALID;
        if (h.updating) return run.wrong(rule::sampler_update, "an update is under way already"), GRPO_STATUS_INVALID;
        if (h.generating && !h.paused)
          return run.wrong(rule::sampler_update, "generate runs, and is not paused"), GRPO_STATUS_INVALID;
        const grpo_tensor_sink* given = nullptr;
        const grpo_status status = h.table->update_begin(h.inner, run.call(), version, &given);
        if (status != GRPO_STATUS_OK) return status;
        h.updating = true;
        h.begun = version;
        if (!given || too_short(given) || !given->put) {
          run.broken(rule::sampler_sink, !given ? "the sink is NULL" : "the sink is too short, or lacks put");
          h.updating = false;
          h.table->update_end(h.inner, run.call(), 0);
          return status;
        }
        *sink = &h.sink("sink.put", *given, true).table;
        return status;
      });
}

grpo_status update_end(void* handle, const grpo_call* call, std::int32_t accept) noexcept {
  return perform<SamplerHandle>(
      handle, "update_end", Threads::one_at_a_time, call, [accept](SamplerHandle& h, Run& run) -> grpo_status {
        if (!h.updating) return run.wrong(rule::sampler_update, "no update is under way"), GRPO_STATUS_INVALID;
        if (accept != 0 && accept != 1)
          return run.wrong(rule::sampler_arguments, "accept is " + std::to_string(accept)), GRPO_STATUS_INVALID;
        h.updating = false;
        h.end_sinks();
        const grpo_status status = h.table->update_end(h.inner, run.call(), accept);
        if (status == GRPO_STATUS_OK && accept == 1) h.newest = h.begun;
        return status;
      });
}

void model_changed(void* handle, std::int64_t version) noexcept {
  visit<SamplerHandle>(handle, "model_changed", Threads::same, 0, [version](SamplerHandle& h, Run& run) {
    if (!h.bound) {
      run.wrong(rule::sampler_unbound, "it is not bound yet");
      return 0;
    }
    h.newest = version;
    h.table->model_changed(h.inner, version);
    return 0;
  });
}

class CheckSampler final : public LayerOf<grpo_sampler> {
 public:
  explicit CheckSampler(const Reporter& reporter) : LayerOf(reporter.component), reporter_(reporter) {
    const grpo_sampler& t = *inner_table();
    table_.close = [](void* handle) noexcept {
      check::close<SamplerHandle>(handle, "close", Threads::same,
                                  [](SamplerHandle& h, Run&) { h.table->close(h.inner); });
    };
    table_.describe = describe;
    table_.generate = generate;
    table_.cancel = cancel;
    if (t.query) table_.query = query;
    if (t.bind) table_.bind = bind;
    if (t.pause) table_.pause = pause;
    if (t.resume) table_.resume = resume;
    if (t.update_begin) table_.update_begin = update_begin;
    if (t.update_end) table_.update_end = update_end;
    if (t.model_changed) table_.model_changed = model_changed;
  }
  grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) override {
    auto opened = std::make_unique<SamplerHandle>(reporter_, inner_table());
    SamplerHandle& h = *opened;
    return check::open(std::move(opened), inner().table, call, options, handle,
                       [&h](Run& run) { h.look_at_info(run); });
  }

 private:
  const Reporter reporter_;
};

}  // namespace

std::shared_ptr<const Layer> check_sampler(const Reporter& reporter) {
  return std::make_shared<CheckSampler>(reporter);
}

}  // namespace grpo::plugins::check
