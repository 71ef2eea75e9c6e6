// Decoding: sessions, and what fills and empties slots. Steps are in step.cpp.
#include "decode.hpp"

#include <algorithm>
#include <cmath>
#include <set>

namespace grpo::plugins::check {

bool Session::all_empty() const {
  return std::all_of(slots.begin(), slots.end(), [](const Slot& s) { return s.length == 0; });
}

std::string Session::list_problem(const std::int64_t* list, std::int64_t n) const {
  if (n < 0 || (n > 0 && !list)) return std::to_string(n) + " slots, or no list of them";
  std::set<std::int64_t> seen;
  for (std::int64_t i = 0; i < n; ++i) {
    if (!has(list[i])) return "slot " + std::to_string(list[i]) + " of " + std::to_string(slots.size());
    if (!seen.insert(list[i]).second) return "slot " + std::to_string(list[i]) + " occurs twice";
  }
  return {};
}

std::string sampling_problem(const grpo_sampling* s, std::uint32_t honoured, std::int64_t vocabulary) {
  if (!s || too_short(s)) return "the sampling options are NULL, or too short";
  if (!(s->temperature >= 0) || !std::isfinite(s->temperature)) return "temperature " + std::to_string(s->temperature);
  if (s->n_stop < 0 || s->n_stop_text < 0 || (s->n_stop > 0 && !s->stop) || (s->n_stop_text > 0 && !s->stop_text))
    return "a list of stops is NULL";
  for (std::int32_t i = 0; i < s->n_stop; ++i)
    if (s->stop[i] < 0 || (vocabulary > 0 && s->stop[i] >= vocabulary))
      return "the stop id " + std::to_string(s->stop[i]) + " is not in the vocabulary";
  if (s->min_new < 0 || s->max_new < 0 || s->top_k < 0) return "min_new, max_new or top_k is negative";
  if (const std::uint32_t beyond = grpo_sampling_used(s) & ~honoured; beyond != 0)
    return "an option is used that the engine does not honour (GRPO_SAMPLING_ bits " + std::to_string(beyond) + ")";
  return {};
}

namespace {

const grpo_decode_info* look_at_info(ModelHandle& h, Run& run) {
  const grpo_decode_info* now = h.decode->describe(h.inner);
  if (!run.check_struct(now, "grpo_decode_info")) return nullptr;
  const bool changed = h.decode_info && (now != h.decode_info || now->sampling != h.decode_said.sampling ||
                                         now->max_room != h.decode_said.max_room);
  if (changed) run.broken(rule::struct_changed, "the description of " GRPO_DECODE_ID " moved or changed");
  h.decode_info = now;
  h.decode_said.sampling = now->sampling;
  h.decode_said.max_room = now->max_room;
  return now;
}

const grpo_decode_info* describe(void* model) noexcept {
  return visit<ModelHandle>(model, "decode.describe", Threads::same, static_cast<const grpo_decode_info*>(nullptr),
                            look_at_info);
}

std::int64_t look_at_free(Session& s, Run& run) {
  const std::int64_t now = s.model.decode->free_tokens(s.inner);
  if (now < 0 || now > s.tokens)
    run.broken(rule::decode_free, std::to_string(now) + " of " + std::to_string(s.tokens) + " tokens are free");
  if (s.all_empty()) {
    if (s.free_at_first < 0) s.free_at_first = now;
    if (now < s.free_at_first)
      run.broken(rule::decode_cache_leaked,
                 std::to_string(now) + " tokens are free, " + std::to_string(s.free_at_first) + " were at first");
  }
  return now;
}

grpo_status session_open(void* model, const grpo_call* call, const grpo_decode_session* wanted, void** out) noexcept {
  return perform<ModelHandle>(
      model, "decode.session_open", Threads::same, call, [&](ModelHandle& h, Run& run) -> grpo_status {
        if (!wanted || too_short(wanted) || !out || wanted->slots < 1 || wanted->tokens < 1)
          return run.wrong(rule::decode_arguments, "a session without slots, tokens, or a place for it"),
                 GRPO_STATUS_INVALID;
        if (!look_at_info(h, run)) return GRPO_STATUS_FAILED;
        grpo_decode_session* copy = run.memory().structure(*wanted);
        run.memory().lock(copy, "the arguments");
        auto session = std::make_unique<Session>(h, wanted->slots, wanted->tokens);
        const grpo_status status = h.decode->session_open(h.inner, run.call(), copy, &session->inner);
        if (status != GRPO_STATUS_OK) return status;
        look_at_free(*session, run);
        run.look_at_memory();
        if (run.failing()) return h.decode->session_close(session->inner), GRPO_STATUS_FAILED;
        h.sessions.insert(session.get());
        *out = session.release();
        return status;
      });
}

void session_close(void* session) noexcept {
  check::close<Session>(session, "decode.session_close", Threads::same, [](Session& s, Run&) {
    s.model.sessions.erase(&s);
    s.model.decode->session_close(s.inner);
  });
}

std::int64_t free_tokens(void* session) noexcept {
  return visit<Session>(session, "decode.free_tokens", Threads::same, std::int64_t{0}, look_at_free);
}

std::string prefill_problem(const Session& s, const grpo_decode_prefill* p) {
  if (!p || too_short(p)) return "the arguments are NULL, or too short";
  if (auto problem = s.list_problem(p->slot, p->n); !problem.empty()) return problem;
  if (p->n > 0 && (!p->start || !p->token || p->start[0] != 0)) return "start or token is NULL, or start[0] is not 0";
  const grpo_model_info& info = s.model.said;
  if (p->position && !(info.flags & GRPO_MODEL_POSITIONS)) return "positions, which the model does not take";
  if (p->n_extras != 0 && !(info.flags & GRPO_MODEL_EXTRAS)) return "extras, which the model does not take";
  for (std::int64_t i = 0; i < p->n; ++i) {
    const std::int64_t n = p->start[i + 1] - p->start[i];
    const std::string which = "slot " + std::to_string(p->slot[i]);
    if (n < 1) return which + " gets " + std::to_string(n) + " tokens";
    const std::int64_t length = s.slots[static_cast<std::size_t>(p->slot[i])].length + n;
    if (length > info.max_positions)
      return which + " would hold " + std::to_string(length) + " tokens; the model has " +
             std::to_string(info.max_positions) + " positions";
  }
  for (std::int64_t i = 0; p->n > 0 && i < p->start[p->n]; ++i)
    if (p->token[i] < 0 || p->token[i] >= info.vocabulary)
      return "token " + std::to_string(i) + " is the id " + std::to_string(p->token[i]);
  return {};
}

grpo_status prefill(void* session, const grpo_call* call, const grpo_decode_prefill* prefill) noexcept {
  return perform<Session>(session, "decode.prefill", Threads::same, call, [&](Session& s, Run& run) -> grpo_status {
    if (const auto problem = prefill_problem(s, prefill); !problem.empty())
      return run.wrong(rule::decode_arguments, problem), GRPO_STATUS_INVALID;
    Scratch& m = run.memory();
    grpo_decode_prefill* p = m.structure(*prefill);
    const std::int64_t tokens = p->n > 0 ? p->start[p->n] : 0;
    p->slot = m.input(p->slot, p->n, "slot");
    p->start = m.input(p->start, p->start ? p->n + 1 : 0, "start");
    p->token = m.input(p->token, tokens, "token");
    p->position = m.input(p->position, tokens * std::max(s.model.said.n_axes, 1), "position");
    m.lock(p, "the arguments");
    const grpo_status status = s.model.decode->prefill(s.inner, run.call(), p);
    for (std::int64_t i = 0; i < prefill->n; ++i) {
      Slot& slot = s.at(prefill->slot[i]);
      slot.doubtful = status != GRPO_STATUS_OK;
      if (slot.doubtful) continue;
      slot.length += prefill->start[i + 1] - prefill->start[i];
      slot.ended = false;
    }
    return status;
  });
}

grpo_status fork(void* session, const grpo_call* call, const grpo_decode_fork* fork) noexcept {
  return perform<Session>(session, "decode.fork", Threads::same, call, [&](Session& s, Run& run) -> grpo_status {
    if (!fork || too_short(fork) || fork->n < 0 || (fork->n > 0 && !fork->from))
      return run.wrong(rule::decode_arguments, "the arguments are NULL, or too short"), GRPO_STATUS_INVALID;
    if (const auto problem = s.list_problem(fork->to, fork->n); !problem.empty())
      return run.wrong(rule::decode_arguments, problem), GRPO_STATUS_INVALID;
    for (std::int64_t i = 0; i < fork->n; ++i) {
      if (!s.has(fork->from[i]))
        run.wrong(rule::decode_arguments,
                  "slot " + std::to_string(fork->from[i]) + " of " + std::to_string(s.slots.size()));
      else if (s.at(fork->from[i]).length == 0)
        run.wrong(rule::decode_slot_empty, "slot " + std::to_string(fork->from[i]) + " is forked from, and empty");
      if (s.at(fork->to[i]).length > 0)
        run.wrong(rule::decode_slot_used, "slot " + std::to_string(fork->to[i]) + " is forked to, and in use");
    }
    if (run.refused()) return GRPO_STATUS_INVALID;
    grpo_decode_fork* f = run.memory().structure(*fork);
    f->from = run.memory().input(f->from, f->n, "from");
    f->to = run.memory().input(f->to, f->n, "to");
    run.memory().lock(f, "the arguments");
    const grpo_status status = s.model.decode->fork(s.inner, run.call(), f);
    for (std::int64_t i = 0; i < fork->n; ++i) {
      Slot& to = s.at(fork->to[i]);
      to = {};
      to.doubtful = status != GRPO_STATUS_OK;
      if (!to.doubtful) to.length = s.at(fork->from[i]).length;
    }
    return status;
  });
}

grpo_status assign(void* session, const grpo_call* call, const grpo_decode_assign* assign) noexcept {
  return perform<Session>(session, "decode.assign", Threads::same, call, [&](Session& s, Run& run) -> grpo_status {
    std::string problem;
    if (!assign || too_short(assign) || (assign->n > 0 && (!assign->key || !assign->sampling)))
      problem = "the arguments are NULL, or too short";
    else
      problem = s.list_problem(assign->slot, assign->n);
    for (std::int64_t i = 0; problem.empty() && i < assign->n; ++i)
      problem = sampling_problem(assign->sampling[i], s.model.decode_said.sampling, s.model.said.vocabulary);
    if (!problem.empty()) return run.wrong(rule::decode_arguments, problem), GRPO_STATUS_INVALID;
    Scratch& m = run.memory();
    grpo_decode_assign* a = m.structure(*assign);
    a->slot = m.input(a->slot, a->n, "slot");
    a->key = m.input(a->key, a->n, "key");
    std::vector<const grpo_sampling*> list;
    for (std::int64_t i = 0; i < a->n; ++i) {
      if (i > 0 && assign->sampling[i] == assign->sampling[i - 1]) {
        list.push_back(list.back());
        continue;
      }
      grpo_sampling* one = m.structure(*assign->sampling[i]);
      one->stop = m.input(one->stop, one->n_stop, "stop");
      one->stop_text = m.texts(one->stop_text, one->n_stop_text, "stop_text", "text");
      m.lock(one, "the sampling options");
      list.push_back(one);
    }
    a->sampling = m.list(list, "the list of sampling options");
    m.lock(a, "the arguments");
    const grpo_status status = s.model.decode->assign(s.inner, run.call(), a);
    for (std::int64_t i = 0; status == GRPO_STATUS_OK && i < assign->n; ++i) {
      Slot& slot = s.at(assign->slot[i]);
      const grpo_sampling& sampling = *assign->sampling[i];
      slot.assigned = true;
      slot.ended = false;
      slot.made = 0;
      slot.min_new = sampling.min_new;
      slot.max_new = sampling.max_new;
      slot.stop.assign(sampling.stop, sampling.stop + sampling.n_stop);
    }
    return status;
  });
}

void release(void* session, std::int64_t n, const std::int64_t* slot) noexcept {
  visit<Session>(session, "decode.release", Threads::same, 0, [&](Session& s, Run& run) {
    if (const auto problem = s.list_problem(slot, n); !problem.empty()) {
      run.wrong(rule::decode_arguments, problem);
      return 0;
    }
    for (std::int64_t i = 0; i < n; ++i)
      if (s.at(slot[i]).length == 0 && !s.at(slot[i]).doubtful)
        run.wrong(rule::decode_slot_released, "slot " + std::to_string(slot[i]) + " is released, and empty");
    if (run.refused()) return 0;
    s.model.decode->release(s.inner, n, slot);
    for (std::int64_t i = 0; i < n; ++i) s.at(slot[i]) = {};
    if (s.all_empty()) look_at_free(s, run);
    return 0;
  });
}

}  // namespace

const grpo_decode checked_decode = {
    sizeof(grpo_decode), 0,      describe, session_open, session_close, free_tokens, prefill, fork, assign,
    checked_step,        release};

}  // namespace grpo::plugins::check
