// The contract's side of the suite's model: slots, and what a caller does against the contract.
#include <grpo/random.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "caller.hpp"
#include "reference_model.hpp"

namespace grpo::plugins::conformance {

grpo_status ReferenceModel::complain(const grpo_call* call, const std::string& what) {
  if (complaint.empty()) complaint = what;
  return call->fail(call, GRPO_STATUS_INVALID, what.c_str(), static_cast<std::int64_t>(what.size()));
}

grpo_status ReferenceModel::cache_full(const grpo_call* call) {
  return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "the cache is full");
}

void ReferenceModel::on_thread(const char* function) {
  if (std::this_thread::get_id() != thread_ && complaint.empty())
    complaint = std::string("it called the decoder's ") + function + " on another thread than the model's";
}

grpo_sampling ReferenceModel::Slot::sampling() const {
  grpo_sampling s = made<grpo_sampling>();
  s.temperature = temperature;
  s.top_p = top_p;
  s.min_p = min_p;
  s.repetition_penalty = penalty;
  s.top_k = top_k;
  s.min_new = min_new;
  s.max_new = max_new;
  s.n_stop = static_cast<std::int32_t>(stop.size());
  s.stop = stop.data();
  return s;
}

std::int64_t ReferenceModel::Session::free() const {
  std::int64_t used = 0;
  std::set<const std::int64_t*> counted;
  for (const Slot& s : slots) {
    used += s.own;
    for (const auto& part : s.shared)
      if (counted.insert(part.get()).second) used += *part;
  }
  return std::max<std::int64_t>(0, tokens - used);
}

grpo_status ReferenceModel::prefill(Session& s, const grpo_call* call, const grpo_decode_prefill& a) {
  on_thread("prefill");
  std::set<std::int64_t> distinct(a.slot, a.slot + a.n);
  if (static_cast<std::int64_t>(distinct.size()) != a.n) return complain(call, "prefill names a slot twice");
  for (std::int64_t i = 0; i < a.n; ++i) {
    const std::int64_t n = a.start[i + 1] - a.start[i];
    if (!is_slot(s, a.slot[i]))
      return complain(call, "prefill of slot " + std::to_string(a.slot[i]) + ", which is none");
    if (n < 1) return complain(call, "prefill of no token");
    if (static_cast<std::int64_t>(s.slots[static_cast<std::size_t>(a.slot[i])].tokens.size()) + n > positions)
      return complain(call, "prefill beyond the model's positions");
  }
  if (a.start[a.n] - a.start[0] > s.free()) return cache_full(call);
  for (std::int64_t k = a.start[0]; k < a.start[a.n]; ++k)
    if (a.token[k] < 0 || a.token[k] >= vocabulary) return complain(call, "prefill of a token out of the vocabulary");
  for (std::int64_t i = 0; i < a.n; ++i) {
    Slot& slot = s.slots[static_cast<std::size_t>(a.slot[i])];
    slots_in_use += slot.tokens.empty();
    slot.tokens.insert(slot.tokens.end(), a.token + a.start[i], a.token + a.start[i + 1]);
    slot.own += a.start[i + 1] - a.start[i];
    slot.ended = false;
  }
  return GRPO_STATUS_OK;
}

grpo_status ReferenceModel::fork(Session& s, const grpo_call* call, const grpo_decode_fork& a) {
  on_thread("fork");
  for (std::int64_t i = 0; i < a.n; ++i) {
    if (!is_slot(s, a.from[i]) || !is_slot(s, a.to[i])) return complain(call, "fork of a slot that is none");
    Slot& from = s.slots[static_cast<std::size_t>(a.from[i])];
    Slot& to = s.slots[static_cast<std::size_t>(a.to[i])];
    if (from.tokens.empty()) return complain(call, "fork of an empty slot");
    if (!to.tokens.empty()) return complain(call, "fork into a slot that is not empty");
    if (from.own > 0) from.shared.push_back(std::make_shared<std::int64_t>(from.own));
    from.own = 0;
    to.shared = from.shared;
    to.tokens = from.tokens;
    to.assigned = to.ended = false;
    ++slots_in_use;
  }
  return GRPO_STATUS_OK;
}

grpo_status ReferenceModel::assign(Session& s, const grpo_call* call, const grpo_decode_assign& a) {
  on_thread("assign");
  for (std::int64_t i = 0; i < a.n; ++i) {
    if (!is_slot(s, a.slot[i])) return complain(call, "assign to a slot that is none");
    const grpo_sampling& o = *a.sampling[i];
    if (grpo_sampling_used(&o) & ~decode_info_.sampling)
      return grpo_fail(call, GRPO_STATUS_UNSUPPORTED, "the suite's model offers no stop texts");
    Slot& slot = s.slots[static_cast<std::size_t>(a.slot[i])];
    slot.assigned = true;
    slot.ended = false;
    slot.key = a.key[i];
    slot.first = slot.tokens.size();
    slot.temperature = o.temperature;
    slot.top_p = o.top_p;
    slot.min_p = o.min_p;
    slot.penalty = o.repetition_penalty;
    slot.top_k = o.top_k;
    slot.min_new = o.min_new;
    slot.max_new = o.max_new;
    slot.stop.assign(o.stop, o.stop + o.n_stop);
  }
  return GRPO_STATUS_OK;
}

grpo_status ReferenceModel::step(Session& s, const grpo_call* call, const grpo_decode_step& a) {
  on_thread("step");
  ++steps;
  if (on_step) on_step(steps);
  if (steps == fail_at_step)
    return grpo_fail(call, GRPO_STATUS_FAILED, "the suite's model fails this step, as a device may");
  if (a.room < 1) return complain(call, "step with room " + std::to_string(a.room));
  for (std::int64_t i = 0; i < a.n; ++i) {
    if (!is_slot(s, a.slot[i])) return complain(call, "step of a slot that is none");
    const Slot& slot = s.slots[static_cast<std::size_t>(a.slot[i])];
    if (slot.tokens.empty()) return complain(call, "step of an empty slot");
    if (!slot.assigned) return complain(call, "step of a slot that was not assigned");
    if (slot.ended) return complain(call, "step of a slot that has ended");
  }
  if (!(a.flags & GRPO_STEP_PEEK) && s.free() < a.n * a.room) return cache_full(call);
  for (std::int64_t i = 0; i < a.n; ++i) a.count[i] = 0, a.ended[i] = GRPO_FINISH_NONE;
  if (call->cancelled(call)) return grpo_fail(call, GRPO_STATUS_CANCELLED, "cancelled");
  for (std::int64_t i = 0; i < a.n; ++i) {
    Slot& slot = s.slots[static_cast<std::size_t>(a.slot[i])];
    const grpo_sampling o = slot.sampling();
    for (std::int64_t k = 0; k < a.room && !a.ended[i]; ++k) {
      const Numbers z = logits(slot.tokens);
      if (a.logits && k == 0)
        for (std::size_t v = 0; v < vocabulary; ++v)
          a.logits[i * vocabulary + static_cast<std::int64_t>(v)] = static_cast<float>(z[v]);
      if (a.flags & GRPO_STEP_PEEK) break;
      const auto made = static_cast<std::int64_t>(slot.tokens.size() - slot.first);
      const Numbers p = distribution(slot.tokens, o, made);
      const std::int32_t id = a.force && k == 0 && a.force[i] >= 0
                                  ? a.force[i]
                                  : draw(p, grpo_random_uniform(slot.key, slot.tokens.size()));
      const std::int64_t at = i * a.room + k;
      a.token[at] = id;
      if (a.logprob) a.logprob[at] = static_cast<float>(log_softmax(z, o.temperature)[static_cast<std::size_t>(id)]);
      if (a.logprob_sampled) a.logprob_sampled[at] = static_cast<float>(std::log(p[static_cast<std::size_t>(id)]));
      slot.tokens.push_back(id);
      ++slot.own;
      ++a.count[i];
      if (std::find(slot.stop.begin(), slot.stop.end(), id) != slot.stop.end())
        a.ended[i] = GRPO_FINISH_STOP;
      else if ((o.max_new > 0 && made + 1 >= o.max_new) || static_cast<std::int64_t>(slot.tokens.size()) >= positions)
        a.ended[i] = GRPO_FINISH_LENGTH;
    }
    slot.ended = a.ended[i] != GRPO_FINISH_NONE;
  }
  return GRPO_STATUS_OK;
}

void ReferenceModel::release(Session& s, std::int64_t n, const std::int64_t* slot) {
  on_thread("release");
  for (std::int64_t i = 0; i < n; ++i) {
    if (!is_slot(s, slot[i])) {
      if (complaint.empty()) complaint = "release of a slot that is none";
      continue;
    }
    Slot& one = s.slots[static_cast<std::size_t>(slot[i])];
    slots_in_use -= !one.tokens.empty();
    one = {};
  }
}

const grpo_decode* ReferenceModel::decode_table() {
  static const grpo_decode table = [] {
    auto t = made<grpo_decode>();
    t.describe = [](void* m) noexcept -> const grpo_decode_info* {
      return &static_cast<ReferenceModel*>(m)->decode_info_;
    };
    t.session_open = [](void* m, const grpo_call* call, const grpo_decode_session* wanted,
                        void** session) -> grpo_status {
      auto& model = *static_cast<ReferenceModel*>(m);
      model.on_thread("session_open");
      if (wanted->slots < 1 || wanted->slots > 4096 || wanted->tokens > (1 << 20)) {
        return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "the suite's model has 4,096 slots and 1,048,576 tokens");
      }
      *session = new Session{&model, std::vector<Slot>(static_cast<std::size_t>(wanted->slots)), wanted->tokens};
      ++model.sessions;
      return GRPO_STATUS_OK;
    };
    t.session_close = [](void* p) {
      auto* s = static_cast<Session*>(p);
      s->model->on_thread("session_close");
      for (const Slot& slot : s->slots) s->model->slots_in_use -= !slot.tokens.empty();
      --s->model->sessions;
      delete s;
    };
    t.free_tokens = [](void* p) { return static_cast<Session*>(p)->free(); };
#define GRPO_FORWARD_TO(function, arguments)                                               \
  t.function = [](void* p, const grpo_call* call, const arguments* a) -> grpo_status {     \
    return static_cast<Session*>(p)->model->function(*static_cast<Session*>(p), call, *a); \
  }
    GRPO_FORWARD_TO(prefill, grpo_decode_prefill);
    GRPO_FORWARD_TO(fork, grpo_decode_fork);
    GRPO_FORWARD_TO(assign, grpo_decode_assign);
    GRPO_FORWARD_TO(step, grpo_decode_step);
#undef GRPO_FORWARD_TO
    t.release = [](void* p, std::int64_t n, const std::int64_t* slot) {
      static_cast<Session*>(p)->model->release(*static_cast<Session*>(p), n, slot);
    };
    return t;
  }();
  return &table;
}

// A sampler needs no more of the model than what it is and its forward.
const grpo_model* ReferenceModel::model_table() {
  static const grpo_model table = [] {
    auto t = made<grpo_model>();
    t.open = [](const grpo_call*, const grpo_options*, void**) -> grpo_status { return GRPO_STATUS_UNSUPPORTED; };
    t.close = [](void*) {};
    t.query = [](void*, const char* id) -> const void* {
      return std::strcmp(id, GRPO_DECODE_ID) ? nullptr : decode_table();
    };
    t.describe = [](void* m) -> const grpo_model_info* { return &static_cast<ReferenceModel*>(m)->info_; };
    t.parameters = [](void*, const grpo_call*, std::int64_t* n, const grpo_parameter* const** list) -> grpo_status {
      *n = 0;
      *list = nullptr;
      return GRPO_STATUS_OK;
    };
    t.forward = [](void* m, const grpo_call* call, const grpo_forward* a) -> grpo_status {
      const auto& model = *static_cast<ReferenceModel*>(m);
      const grpo_forest& f = *a->forest;
      for (std::int64_t k = 0; k < a->n_targets; ++k) {
        std::int64_t node = f.n_nodes - 1;
        while (node > 0 && f.node_start[node] > a->target_at[k]) --node;
        Ids path(f.token + f.node_start[node], f.token + a->target_at[k] + 1);
        for (node = f.parent[node]; node >= 0; node = f.parent[node])
          path.insert(path.begin(), f.token + f.node_start[node], f.token + f.node_start[node + 1]);
        if (a->target_token[k] < 0 || a->target_token[k] >= vocabulary)
          return grpo_fail(call, GRPO_STATUS_INVALID, "target");
        const Numbers logp = log_softmax(model.logits(path), a->temperature);
        a->logprob[k] = static_cast<float>(logp[static_cast<std::size_t>(a->target_token[k])]);
        if (!a->entropy) continue;
        double entropy = 0;
        for (const double x : logp) entropy -= std::exp(x) * x;
        a->entropy[k] = static_cast<float>(entropy);
      }
      return GRPO_STATUS_OK;
    };
    return t;
  }();
  return &table;
}

}  // namespace grpo::plugins::conformance
