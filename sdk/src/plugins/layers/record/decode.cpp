#include "decode.hpp"

#include "layers/layer.hpp"

namespace grpo::plugins::record {
namespace {

void refuse_extras(std::int64_t n_extras, const void* position) {
  if (n_extras > 0 || position) throw Error("extras and explicit positions cannot be recorded");
}

// [n][room], of which count[i] in each row are there.
template <class T>
void rows(Pack& pack, const char* name, const grpo_decode_step& a, const T* values) {
  if (!values) return;
  std::vector<T> kept(static_cast<std::size_t>(a.n * a.room));
  for (std::int64_t i = 0; i < a.n; ++i)
    for (std::int64_t k = 0; k < a.count[i] && k < a.room; ++k)
      kept[static_cast<std::size_t>(i * a.room + k)] = values[i * a.room + k];
  pack.list(name, kept.data(), a.n * a.room);
}

}  // namespace

void pack(const grpo_sampling& s, ValueList& out) {
  Pack p(out);
  p.integer("flags", s.flags).number("temperature", s.temperature).number("top_p", s.top_p).number("min_p", s.min_p);
  p.number("repetition_penalty", s.repetition_penalty).integer("top_k", s.top_k);
  p.integer("min_new", s.min_new).integer("max_new", s.max_new);
  static constexpr std::int32_t none = 0;
  p.list("stop", s.n_stop > 0 ? s.stop : &none, s.n_stop);
  for (std::int32_t i = 0; i < s.n_stop_text; ++i)
    p.text("stop_text", {s.stop_text[i].data, static_cast<std::size_t>(s.stop_text[i].size)});
}

SamplingView::SamplingView(const ValueList& from) {
  const Unpack u(from, "sampling");
  s_.struct_size = sizeof s_;
  s_.flags = static_cast<std::uint32_t>(u.integer("flags"));
  s_.temperature = u.number("temperature");
  s_.top_p = u.number("top_p");
  s_.min_p = u.number("min_p");
  s_.repetition_penalty = u.number("repetition_penalty");
  s_.top_k = static_cast<std::int32_t>(u.integer("top_k"));
  s_.min_new = static_cast<std::int32_t>(u.integer("min_new"));
  s_.max_new = static_cast<std::int32_t>(u.integer("max_new"));
  stop_ = u.list<std::int32_t>("stop");
  for (const wire::Value& value : from)
    if (value.name() == "stop_text") texts_.push_back(value.text());
  for (const std::string& text : texts_) stop_text_.push_back({text.c_str(), static_cast<std::int64_t>(text.size())});
  s_.n_stop = static_cast<std::int32_t>(stop_.size());
  s_.stop = stop_.data();
  s_.n_stop_text = static_cast<std::int32_t>(stop_text_.size());
  s_.stop_text = stop_text_.data();
}

void pack(const grpo_model_info& i, ValueList& out) {
  Pack p(out);
  p.integer("flags", i.flags).integer("vocabulary", i.vocabulary).integer("max_positions", i.max_positions);
  p.integer("max_tokens", i.max_tokens).integer("max_depth", i.max_depth).integer("max_tickets", i.max_tickets);
  p.integer("n_axes", i.n_axes).integer("n_elements", i.n_elements).number("flops_per_token", i.flops_per_token);
  p.integer("device_type", i.device_type).integer("device_id", i.device_id);
}
void pack(const grpo_decode_info& i, ValueList& out) {
  Pack(out).integer("flags", i.flags).integer("sampling", i.sampling).integer("max_room", i.max_room);
}
void pack(const grpo_decode_session& a, ValueList& out) {
  Pack(out).integer("flags", a.flags).integer("slots", a.slots).integer("tokens", a.tokens);
}
void pack(std::int64_t session, const grpo_decode_prefill& a, ValueList& out) {
  refuse_extras(a.n_extras, a.position);
  Pack(out)
      .integer("session", session)
      .integer("flags", a.flags)
      .list("slot", a.slot, a.n)
      .list("start", a.start, a.n + 1)
      .list("token", a.token, a.start[a.n]);
}
void pack(std::int64_t session, const grpo_decode_fork& a, ValueList& out) {
  Pack(out).integer("session", session).integer("flags", a.flags).list("from", a.from, a.n).list("to", a.to, a.n);
}
void pack(std::int64_t session, const grpo_decode_assign& a, ValueList& out) {
  Pack p(out);
  p.integer("session", session).integer("flags", a.flags).list("slot", a.slot, a.n).list("key", a.key, a.n);
  // The slots of a group share one: it is kept once.
  std::vector<std::int64_t> which;
  std::vector<const grpo_sampling*> all;
  for (std::int64_t i = 0; i < a.n; ++i) {
    std::size_t at = 0;
    while (at < all.size() && all[at] != a.sampling[i]) ++at;
    if (at == all.size()) all.push_back(a.sampling[i]);
    which.push_back(static_cast<std::int64_t>(at));
  }
  which.reserve(1);
  p.list("which", which.data(), a.n);
  for (const grpo_sampling* s : all) pack(*s, p.values("sampling"));
}
void pack(std::int64_t session, const grpo_decode_step& a, ValueList& out) {
  Pack p(out);
  p.integer("session", session).integer("flags", a.flags).integer("room", a.room).list("slot", a.slot, a.n);
  p.list("force", a.force, a.n);
  p.integer("wants", (a.logprob ? 1 : 0) | (a.logprob_sampled ? 2 : 0) | (a.logits ? 4 : 0));
}
void pack_release(std::int64_t session, std::int64_t n, const std::int64_t* slot, ValueList& out) {
  Pack(out).integer("session", session).list("slot", slot, n);
}

void pack_result(const grpo_decode_step& a, std::int64_t vocabulary, ValueList& out) {
  Pack p(out);
  if (!(a.flags & GRPO_STEP_PEEK)) {
    p.list("count", a.count, a.n).list("ended", a.ended, a.n);
    rows(p, "token", a, a.token);
    rows(p, "logprob", a, a.logprob);
    rows(p, "logprob_sampled", a, a.logprob_sampled);
  }
  p.list("logits", a.logits, a.n * vocabulary);
}

RecordedDecode::RecordedDecode(Tape& tape, const grpo_decode* inner, void* model, std::int64_t vocabulary,
                               const std::atomic<std::uint64_t>* parent)
    : tape_(tape), inner_(inner), model_(model), vocabulary_(vocabulary), parent_(parent) {}

grpo_status RecordedDecode::session_open(const grpo_call* call, const grpo_decode_session* wanted, void** session) {
  auto opened = std::make_unique<Session>(Session{this, nullptr, ++sessions_});
  const grpo_status status = tape_.call(
      "decode.session_open", call, [&](wire::Envelope& e) { pack(*wanted, *e.mutable_argument()); },
      [&](const grpo_call* c, std::uint64_t) { return inner_->session_open(model_, c, wanted, &opened->inner); },
      [&](wire::Envelope& e, grpo_status) { Pack(*e.mutable_result()).integer("session", opened->number); }, parent());
  if (status == GRPO_STATUS_OK) *session = opened.release();
  return status;
}

template <class Run>
grpo_status RecordedDecode::recorded(Session& s, const char* function, const grpo_call* call, const Tape::Fill& ask,
                                     const Run& run, const Tape::FillAnswer& answer) {
  RecordedDecode& self = *s.of;
  return guarded(call, [&] {
    return self.tape_.call(
        function, call, ask, [&](const grpo_call* c, std::uint64_t) { return run(c); }, answer, self.parent());
  });
}

void RecordedDecode::fill(grpo_decode& t) {
  t.session_close = [](void* session) noexcept {
    const std::unique_ptr<Session> s(static_cast<Session*>(session));
    const auto id = s->of->tape_.ask(
        "decode.session_close", nullptr,
        [&](wire::Envelope& e) { Pack(*e.mutable_argument()).integer("session", s->number); }, s->of->parent());
    s->of->inner_->session_close(s->inner);
    s->of->tape_.answer(id, "decode.session_close", GRPO_STATUS_OK, "", nullptr, s->of->parent());
  };
  t.free_tokens = [](void* session) noexcept {
    auto& s = *static_cast<Session*>(session);
    const auto id = s.of->tape_.ask(
        "decode.free_tokens", nullptr,
        [&](wire::Envelope& e) { Pack(*e.mutable_argument()).integer("session", s.number); }, s.of->parent());
    const std::int64_t n = s.of->inner_->free_tokens(s.inner);
    s.of->tape_.answer(
        id, "decode.free_tokens", GRPO_STATUS_OK, "",
        [&](wire::Envelope& e) { Pack(*e.mutable_result()).integer("tokens", n); }, s.of->parent());
    return n;
  };
  t.prefill = [](void* session, const grpo_call* call, const grpo_decode_prefill* a) noexcept {
    auto& s = *static_cast<Session*>(session);
    return recorded(
        s, "decode.prefill", call, [&](wire::Envelope& e) { pack(s.number, *a, *e.mutable_argument()); },
        [&](const grpo_call* c) { return s.of->inner_->prefill(s.inner, c, a); });
  };
  t.fork = [](void* session, const grpo_call* call, const grpo_decode_fork* a) noexcept {
    auto& s = *static_cast<Session*>(session);
    return recorded(
        s, "decode.fork", call, [&](wire::Envelope& e) { pack(s.number, *a, *e.mutable_argument()); },
        [&](const grpo_call* c) { return s.of->inner_->fork(s.inner, c, a); });
  };
  t.assign = [](void* session, const grpo_call* call, const grpo_decode_assign* a) noexcept {
    auto& s = *static_cast<Session*>(session);
    return recorded(
        s, "decode.assign", call, [&](wire::Envelope& e) { pack(s.number, *a, *e.mutable_argument()); },
        [&](const grpo_call* c) { return s.of->inner_->assign(s.inner, c, a); });
  };
  t.step = [](void* session, const grpo_call* call, const grpo_decode_step* a) noexcept {
    auto& s = *static_cast<Session*>(session);
    return recorded(
        s, "decode.step", call, [&](wire::Envelope& e) { pack(s.number, *a, *e.mutable_argument()); },
        [&](const grpo_call* c) { return s.of->inner_->step(s.inner, c, a); },
        [&](wire::Envelope& e, grpo_status status) {
          if (status == GRPO_STATUS_OK) pack_result(*a, s.of->vocabulary_, *e.mutable_result());
        });
  };
  t.release = [](void* session, std::int64_t n, const std::int64_t* slot) noexcept {
    auto& s = *static_cast<Session*>(session);
    const auto id = s.of->tape_.ask(
        "decode.release", nullptr, [&](wire::Envelope& e) { pack_release(s.number, n, slot, *e.mutable_argument()); },
        s.of->parent());
    s.of->inner_->release(s.inner, n, slot);
    s.of->tape_.answer(id, "decode.release", GRPO_STATUS_OK, "", nullptr, s.of->parent());
  };
}

}  // namespace grpo::plugins::record
