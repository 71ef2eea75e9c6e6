#include "decoding.hpp"

#include <limits>

namespace grpo::plugins::record {

StepView::StepView(const Unpack& a, std::int64_t vocabulary) : slot_(a.list<std::int64_t>("slot")) {
  step_.struct_size = sizeof step_;
  step_.flags = static_cast<std::uint32_t>(a.integer("flags"));
  step_.n = static_cast<std::int64_t>(slot_.size());
  step_.room = a.integer("room");
  if (step_.room < 1 || step_.room > 1 << 20) a.wrong("room");
  const auto cells = static_cast<std::size_t>(step_.n * step_.room);
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  const std::int64_t wants = a.integer("wants");
  token_.assign(cells + 1, -1);
  count_.assign(slot_.size() + 1, 0);
  ended_.assign(slot_.size() + 1, 0);
  if (a.has("force")) force_ = a.list<std::int32_t>("force", step_.n);
  if (wants & 1) logprob_.assign(cells + 1, nan);
  if (wants & 2) sampled_.assign(cells + 1, nan);
  if (wants & 4) logits_.assign(static_cast<std::size_t>(step_.n * vocabulary) + 1, nan);
  step_.slot = slot_.data();
  step_.force = a.has("force") ? force_.data() : nullptr;
  step_.token = token_.data();
  step_.count = count_.data();
  step_.ended = ended_.data();
  step_.logprob = wants & 1 ? logprob_.data() : nullptr;
  step_.logprob_sampled = wants & 2 ? sampled_.data() : nullptr;
  step_.logits = wants & 4 ? logits_.data() : nullptr;
}

DecodeReplay::~DecodeReplay() {
  for (const auto& [number, session] : sessions_) table_->session_close(session);
}

void* DecodeReplay::session(const Unpack& a) {
  const auto at = sessions_.find(a.integer("session"));
  if (at == sessions_.end()) a.wrong("session");
  return at->second;
}

grpo_status DecodeReplay::run(const wire::Envelope& m, const grpo_call* call, ValueList& result) {
  const std::string& f = m.function();
  const Unpack a(m.argument(), f);
  const auto flags = [&] { return static_cast<std::uint32_t>(a.integer("flags")); };
  Pack out(result);
  if (f == "decode.session_open") {
    const grpo_decode_session wanted{sizeof wanted, flags(), a.integer("slots"), a.integer("tokens")};
    void* made = nullptr;
    const grpo_status status = table_->session_open(model_, call, &wanted, &made);
    ++opened_;  // as it was counted when it was recorded
    if (status == GRPO_STATUS_OK) sessions_[opened_] = made;
    out.integer("session", opened_);
    return status;
  }
  void* s = session(a);
  if (f == "decode.session_close") {
    table_->session_close(s);
    sessions_.erase(a.integer("session"));
    return GRPO_STATUS_OK;
  }
  if (f == "decode.free_tokens") {
    out.integer("tokens", table_->free_tokens(s));
    return GRPO_STATUS_OK;
  }
  if (f == "decode.prefill") {
    const auto slot = a.list<std::int64_t>("slot");
    const auto n = static_cast<std::int64_t>(slot.size());
    const auto start = a.list<std::int64_t>("start", n + 1);
    const auto token = a.list<std::int32_t>("token", start.back());
    const grpo_decode_prefill p{sizeof p, flags(), n, slot.data(), start.data(), token.data(), nullptr, 0, nullptr};
    return table_->prefill(s, call, &p);
  }
  if (f == "decode.fork") {
    const auto from = a.list<std::int64_t>("from");
    const auto n = static_cast<std::int64_t>(from.size());
    const auto to = a.list<std::int64_t>("to", n);
    const grpo_decode_fork p{sizeof p, flags(), n, from.data(), to.data()};
    return table_->fork(s, call, &p);
  }
  if (f == "decode.assign") {
    const auto slot = a.list<std::int64_t>("slot");
    const auto n = static_cast<std::int64_t>(slot.size());
    const auto key = a.list<std::uint64_t>("key", n);
    const auto which = a.list<std::int64_t>("which", n);
    std::deque<SamplingView> views;
    for (const wire::Value& value : m.argument())
      if (value.name() == "sampling") views.emplace_back(value.list().value());
    std::vector<const grpo_sampling*> sampling;
    for (const std::int64_t i : which) {
      if (i < 0 || i >= static_cast<std::int64_t>(views.size())) a.wrong("which");
      sampling.push_back(views[static_cast<std::size_t>(i)].get());
    }
    const grpo_decode_assign p{sizeof p, flags(), n, slot.data(), key.data(), sampling.data()};
    return table_->assign(s, call, &p);
  }
  if (f == "decode.step") {
    const StepView step(a, vocabulary_);
    const grpo_status status = table_->step(s, call, step.get());
    if (status == GRPO_STATUS_OK) pack_result(*step.get(), vocabulary_, result);
    return status;
  }
  if (f == "decode.release") {
    const auto slot = a.list<std::int64_t>("slot");
    table_->release(s, static_cast<std::int64_t>(slot.size()), slot.data());
    return GRPO_STATUS_OK;
  }
  throw Error("call " + std::to_string(m.id()) + ": a decoder has no function " + f);
}

void compare_values(Comparison& compare, const ValueList& expected, const ValueList& got) {
  if (expected.size() != got.size()) {
    compare.integer(expected.size(), got.size(), -1, "number of results");
    return;
  }
  for (int i = 0; i < expected.size(); ++i) {
    const wire::Value &a = expected[i], &b = got[i];
    if (a.name() != b.name() || a.value_case() != b.value_case())
      compare.differ(i, "result", a.name(), b.name());
    else if (a.has_tensor())
      compare.tensor(a.tensor(), b.tensor(), a.name());
    else if (a.has_number())
      compare.number(a.number(), b.number(), -1, a.name());
    else if (a.has_integer())
      compare.integer(a.integer(), b.integer(), -1, a.name());
    else if (a.has_list())
      compare_values(compare, a.list().value(), b.list().value());
    else
      compare.text(a.text(), b.text(), -1, a.name());
  }
}

}  // namespace grpo::plugins::record
