// A sampler with one fault; sound without. It stands between the sound one and the host: in the feed and the decoder.
#include <grpo/sampler.h>

#include <deque>
#include <new>
#include <vector>

#include "wrap.hpp"

/* clang-format off */
GRPO_MANIFEST({
  "name": "broken_sampler", "version": "1.0.0", "licence": "MIT",
  "components": [{"interface": "grpo.sampler/1", "name": "broken", "options": {
    "inner": {"type": "string", "required": true}, "fault": {"type": "string", "default": ""}}}]
});
/* clang-format on */

namespace {

struct State : Wrapped<grpo_sampler> {
  grpo_decode decode{};  // in front of the model's
  grpo_sampler_binding binding{};
  grpo_sampler_info info{};
};
State& of(void* handle) { return *static_cast<State*>(handle); }

// One generate.
struct Between {
  State& s;
  const grpo_feed* feed;
  std::deque<grpo_request> requests;
  std::deque<grpo_sampling> samplings;
  int delivered = 0;

  void change(const grpo_request& from, const grpo_request** request) {
    static std::uint64_t made = 0;
    grpo_request& r = requests.emplace_back();
    grpo_sampling& o = samplings.emplace_back();
    r.struct_size = sizeof r;
    r.flags = from.flags;
    r.id = from.id;
    r.key = from.key;
    r.n_prompt = from.n_prompt;
    r.n_samples = from.n_samples;
    r.prompt = from.prompt;
    r.sampling = &o;
    o.struct_size = sizeof o;
    const grpo_sampling& f = *from.sampling;
    o.temperature = f.temperature, o.top_p = f.top_p, o.min_p = f.min_p, o.repetition_penalty = f.repetition_penalty;
    o.top_k = f.top_k, o.min_new = f.min_new, o.max_new = f.max_new;
    o.n_stop = f.n_stop, o.stop = f.stop, o.n_stop_text = f.n_stop_text, o.stop_text = f.stop_text;
    if (s.is("own_seed")) r.key ^= ++made;
    if (s.is("own_key")) r.key ^= 1;
    if (s.is("one_more") && o.max_new > 0) ++o.max_new;
    if (s.is("no_stop")) o.n_stop = 0;
    if (s.is("no_stop_text")) o.n_stop_text = 0;
    if (s.is("no_options")) o.temperature = 1, o.top_k = 0, o.top_p = 0, o.min_p = 0;
    *request = &r;
  }

  grpo_status deliver(const grpo_call* call, const grpo_completion& from) {
    grpo_completion c{};
    c.struct_size = sizeof c;
    c.request = from.request, c.index = from.index, c.n = from.n, c.ids = from.ids, c.finish = from.finish;
    c.logprob_kind = from.logprob_kind, c.logprob = from.logprob, c.logprob_sampled = from.logprob_sampled;
    c.version = from.version, c.token_version = from.token_version;
    std::vector<float> wrong;
    if (s.is("logprobs")) {
      for (std::int64_t i = 0; i < c.n; ++i) wrong.push_back(c.logprob[i] * 1.05f);
      c.logprob = wrong.data();
    }
    if (s.is("misses") && ++delivered == 2) return GRPO_STATUS_OK;
    const grpo_status status = feed->deliver(feed, call, &c);
    if (s.is("twice") && ++delivered == 2) return feed->deliver(feed, call, &c);
    return s.is("goes_on") ? grpo_status{GRPO_STATUS_OK} : status;
  }
};

grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) {
  auto* s = new State;
  const grpo_status status = s->open(call, options);
  if (status) return delete s, status;
  *handle = s;
  return GRPO_STATUS_OK;
}
void close(void* handle) {
  of(handle).table->close(of(handle).inner);
  delete &of(handle);
}
const void* query(void*, const char*) { return nullptr; }
const grpo_sampler_info* describe(void* handle) {
  State& s = of(handle);
  s.info = *s.table->describe(s.inner);
  if (s.is("updates") || s.is("takes_updates")) s.info.flags |= GRPO_SAMPLER_UPDATES;
  return &s.info;
}

grpo_status bind(void* handle, const grpo_call* call, const grpo_sampler_binding* binding) {
  State& s = of(handle);
  s.decode = *binding->decode_table;
  if (s.is("keeps_slots")) s.decode.release = [](void*, std::int64_t, const std::int64_t*) {};
  s.binding.struct_size = sizeof s.binding;
  s.binding.model = binding->model;
  s.binding.model_table = binding->model_table;
  s.binding.decode_table = &s.decode;
  s.binding.model_revision = binding->model_revision;
  return s.table->bind(s.inner, call, &s.binding);
}

grpo_status generate(void* handle, const grpo_call* call, const grpo_feed* from) {
  State& s = of(handle);
  if (s.is("exact_size") && from->struct_size != sizeof *from)
    return grpo_fail(call, GRPO_STATUS_INVALID, "not my headers");
  if (s.is("leaks")) leak();
  Between between{s, from, {}, {}};
  grpo_feed feed{};
  feed.struct_size = sizeof feed;
  feed.host = &between;
  feed.next = [](const grpo_feed* f, const grpo_call* c, std::int64_t wait,
                 const grpo_request** request) -> grpo_status {
    auto& b = *static_cast<Between*>(f->host);
    const grpo_status status = b.feed->next(b.feed, c, wait, request);
    if (status == GRPO_STATUS_OK) b.change(**request, request);
    return b.s.is("impatient") && status == GRPO_STATUS_AGAIN ? grpo_status{GRPO_STATUS_END} : status;
  };
  feed.deliver = [](const grpo_feed* f, const grpo_call* c, const grpo_completion* completion) -> grpo_status {
    return static_cast<Between*>(f->host)->deliver(c, *completion);
  };
  grpo_call deaf = *call;
  deaf.cancelled = [](const grpo_call*) -> std::int32_t { return 0; };
  const grpo_status status = s.table->generate(s.inner, s.is("deaf") ? &deaf : call, &feed);
  return s.is("always_ok") ? grpo_status{GRPO_STATUS_OK} : status;
}

void cancel(void* handle, std::uint64_t request) {
  if (!of(handle).is("no_cancel")) of(handle).table->cancel(of(handle).inner, request);
}
void model_changed(void* handle, std::int64_t version) {
  if (!of(handle).is("old_version")) of(handle).table->model_changed(of(handle).inner, version);
}

grpo_status update_begin(void* handle, const grpo_call*, std::int64_t version, const grpo_tensor_sink** sink) {
  static grpo_tensor_sink own{};
  own.struct_size = sizeof own;
  own.put = [](const grpo_tensor_sink*, const grpo_call*, std::int64_t,
               const grpo_named_tensor* const*) -> grpo_status { return GRPO_STATUS_OK; };
  *sink = &own;
  if (of(handle).is("takes_updates")) of(handle).table->model_changed(of(handle).inner, version);
  return GRPO_STATUS_OK;
}
grpo_status update_end(void*, const grpo_call*, std::int32_t) { return GRPO_STATUS_OK; }

const grpo_sampler table = {
    sizeof(grpo_sampler), 0,          open,         close, query, describe, bind, generate, cancel, nullptr, nullptr,
    update_begin,         update_end, model_changed};

}  // namespace

GRPO_PLUGIN_ONE(GRPO_SAMPLER_ID, "broken", &table);
