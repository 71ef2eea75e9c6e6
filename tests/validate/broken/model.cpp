// A model with one fault; sound without.
#include <grpo/decode.h>
#include <grpo/model.h>

#include <cstring>
#include <map>
#include <new>
#include <set>
#include <vector>

#include "wrap.hpp"

/* clang-format off */
GRPO_MANIFEST({
  "name": "broken_model", "version": "1.0.0", "licence": "MIT",
  "components": [{"interface": "grpo.model/1", "name": "broken", "offers": ["grpo.decode/1"], "options": {
    "inner": {"type": "string", "required": true}, "fault": {"type": "string", "default": ""}}}]
});
/* clang-format on */

namespace {

struct State : Wrapped<grpo_model> {
  const grpo_decode* decode = nullptr;
  grpo_model_info info{};
  std::map<std::int64_t, std::vector<float>> first;  // answers, for one that does not look again
  std::map<std::uint64_t, std::size_t> targets;      // of tickets
  std::set<std::uint64_t> shared;                    // tickets of forests
  void forget(std::uint64_t ticket) { targets.erase(ticket), shared.erase(ticket); }
};
State& of(void* handle) { return *static_cast<State*>(handle); }

struct Session {
  State* of;
  void* inner;
  std::int64_t lost = 0;
};
Session& session(void* handle) { return *static_cast<Session*>(handle); }

grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) {
  auto* s = new State;
  const grpo_status status = s->open(call, options);
  if (status) return delete s, status;
  s->decode = static_cast<const grpo_decode*>(s->table->query(s->inner, GRPO_DECODE_ID));
  s->info = *s->table->describe(s->inner);
  if (s->is("counts_wrong")) ++s->info.n_elements;
  *handle = s;
  return GRPO_STATUS_OK;
}
void close(void* handle) {
  of(handle).table->close(of(handle).inner);
  delete &of(handle);
}
const grpo_model_info* describe(void* handle) { return &of(handle).info; }
grpo_status parameters(void* handle, const grpo_call* call, std::int64_t* n, const grpo_parameter* const** list) {
  return of(handle).table->parameters(of(handle).inner, call, n, list);
}

grpo_status forward(void* handle, const grpo_call* call, const grpo_forward* a) {
  State& s = of(handle);
  const grpo_forest& f = *a->forest;
  if (s.is("exact_size") && (a->struct_size != sizeof *a || f.struct_size != sizeof f))
    return grpo_fail(call, GRPO_STATUS_INVALID, "not my headers");
  if (s.is("leaks")) leak();
  const grpo_status status = s.table->forward(s.inner, call, a);
  bool tree = false;
  for (std::int64_t i = 0; i < f.n_nodes && !status; ++i) tree = tree || f.parent[i] >= 0;
  for (std::int64_t k = 0; k < a->n_targets && !status; ++k) {
    if (s.is("not_one")) a->logprob[k] -= 0.1f;
    if (s.is("sees_future")) a->logprob[k] -= 0.01f * float(f.token[f.n_tokens - 1] % 7);
    if (s.is("tree") && tree) a->logprob[k] -= 0.05f;
  }
  if (s.is("stale") && !status) {
    auto& kept = s.first.try_emplace(a->n_targets, a->logprob, a->logprob + a->n_targets).first->second;
    std::memcpy(a->logprob, kept.data(), kept.size() * sizeof(float));
  }
  if (a->ticket) s.targets[*a->ticket] = std::size_t(a->n_targets);
  if (tree && a->ticket) s.shared.insert(*a->ticket);
  if (s.is("past_end")) a->logprob[a->n_targets] = 0;
  return s.is("takes_all") ? grpo_status{GRPO_STATUS_OK} : status;
}

grpo_status backward(void* handle, const grpo_call* call, const grpo_backward* a) {
  State& s = of(handle);
  if (s.is("overwrites")) s.table->zero_grad(s.inner, call);
  float scale = s.is("weak") ? 0.9f : s.is("tree_gradient") && s.shared.count(a->ticket) ? 0.5f : 1;
  std::vector<float> less(a->dlogprob, a->dlogprob + s.targets[a->ticket]);
  s.forget(a->ticket);
  if (scale >= 1) return s.table->backward(s.inner, call, a);
  for (float& x : less) x *= scale;
  grpo_backward own{};
  own.struct_size = sizeof own;
  own.ticket = a->ticket;
  own.dlogprob = less.data();
  own.dentropy = a->dentropy;
  return s.table->backward(s.inner, call, &own);
}

void drop(void* handle, std::uint64_t ticket) {
  State& s = of(handle);
  if (s.is("leaks_ticket")) leak();
  s.forget(ticket);
  s.table->drop(s.inner, ticket);
}
grpo_status zero_grad(void* handle, const grpo_call* call) {
  return of(handle).table->zero_grad(of(handle).inner, call);
}
grpo_status commit(void* handle, const grpo_call* call, std::int64_t version) {
  return of(handle).table->commit(of(handle).inner, call, version);
}
grpo_status export_weights(void* handle, const grpo_call* call, const grpo_tensor_sink* sink) {
  return of(handle).table->export_weights(of(handle).inner, call, sink);
}
grpo_status import_weights(void* handle, const grpo_call* call, std::int64_t version,
                           const grpo_tensor_source* source) {
  State& s = of(handle);
  if (s.is("no_import")) return GRPO_STATUS_OK;
  const grpo_status status = s.table->import_weights(s.inner, call, version, source);
  return s.is("takes_any_import") ? grpo_status{GRPO_STATUS_OK} : status;
}

// --- grpo.decode/1 ---

const grpo_decode_info* decode_describe(void* model) { return of(model).decode->describe(of(model).inner); }
grpo_status session_open(void* model, const grpo_call* call, const grpo_decode_session* wanted, void** out) {
  auto* s = new Session{&of(model), nullptr};
  const grpo_status status = s->of->decode->session_open(s->of->inner, call, wanted, &s->inner);
  if (status) return delete s, status;
  *out = s;
  return GRPO_STATUS_OK;
}
void session_close(void* handle) {
  session(handle).of->decode->session_close(session(handle).inner);
  delete &session(handle);
}
std::int64_t free_tokens(void* handle) {
  return session(handle).of->decode->free_tokens(session(handle).inner) - session(handle).lost;
}
grpo_status prefill(void* handle, const grpo_call* call, const grpo_decode_prefill* a) {
  return session(handle).of->decode->prefill(session(handle).inner, call, a);
}
grpo_status fork(void* handle, const grpo_call* call, const grpo_decode_fork* a) {
  Session& s = session(handle);
  const grpo_status status = s.of->decode->fork(s.inner, call, a);
  if (!s.of->is("fork")) return status;
  const std::int64_t start[] = {0, 1};
  const std::int32_t token = 1;
  grpo_decode_prefill more{};  // one token too many
  more.struct_size = sizeof more;
  more.n = 1;
  more.slot = a->to;
  more.start = start;
  more.token = &token;
  return s.of->decode->prefill(s.inner, call, &more);
}
grpo_status assign(void* handle, const grpo_call* call, const grpo_decode_assign* a) {
  Session& s = session(handle);
  std::vector<std::uint64_t> keys(a->key, a->key + a->n);
  for (std::uint64_t& key : keys)
    if (s.of->is("own_key")) ++key;
  grpo_decode_assign own{};
  own.struct_size = sizeof own;
  own.n = a->n;
  own.slot = a->slot;
  own.key = keys.data();
  own.sampling = a->sampling;
  return s.of->decode->assign(s.inner, call, &own);
}
grpo_status step(void* handle, const grpo_call* call, const grpo_decode_step* a) {
  Session& s = session(handle);
  if (s.of->is("exact_step") && a->struct_size != sizeof *a)
    return grpo_fail(call, GRPO_STATUS_INVALID, "not my headers");
  grpo_decode_step own{};
  own.struct_size = sizeof own;
  own.flags = a->flags, own.n = a->n, own.room = a->room, own.slot = a->slot, own.force = a->force;
  own.token = a->token, own.count = a->count, own.ended = a->ended, own.logprob = a->logprob;
  own.logprob_sampled = a->logprob_sampled, own.logits = a->logits;
  const std::vector<std::int32_t> zeros(std::size_t(a->n), 0);
  if (s.of->is("by_room") && a->room > 1) own.force = zeros.data();
  const grpo_status status = s.of->decode->step(s.inner, call, &own);
  for (std::int64_t i = 0; i < a->n && !status; ++i) {
    if (s.of->is("step_logprob") && a->logprob && !(a->flags & GRPO_STEP_PEEK)) a->logprob[i * a->room] -= 0.1f;
    if (s.of->is("mixes_ends") && a->ended[i] == GRPO_FINISH_STOP) a->ended[i] = GRPO_FINISH_LENGTH;
  }
  return status;
}
void release(void* handle, std::int64_t n, const std::int64_t* slot) {
  Session& s = session(handle);
  if (s.of->is("loses_tokens")) ++s.lost;
  s.of->decode->release(s.inner, n, slot);
}

const grpo_decode decode_table = {sizeof(grpo_decode),
                                  0,
                                  decode_describe,
                                  session_open,
                                  session_close,
                                  free_tokens,
                                  prefill,
                                  fork,
                                  assign,
                                  step,
                                  release};
const void* query(void*, const char* id) { return std::strcmp(id, GRPO_DECODE_ID) ? nullptr : &decode_table; }

const grpo_model table = {sizeof(grpo_model), 0,          open,           close,         query,
                          describe,           parameters, forward,        backward,      drop,
                          zero_grad,          commit,     export_weights, import_weights};

}  // namespace

GRPO_PLUGIN_ONE(GRPO_MODEL_ID, "broken", &table);
