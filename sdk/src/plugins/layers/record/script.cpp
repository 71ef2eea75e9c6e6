#include "script.hpp"

#include "decoding.hpp"
#include "grpo/sdk/error.hpp"
#include "layers/layer.hpp"
#include "tensors.hpp"

namespace grpo::plugins::record {
namespace {

// "decode.step(session=1, room=4, slot=[0, 1, ...])"
std::string brief(const std::string& function, const ValueList& values) {
  std::string out = function + "(";
  for (const wire::Value& value : values) {
    if (out.back() != '(') out += ", ";
    out += value.name() + "=";
    std::vector<double> numbers;
    if (value.has_integer()) {
      out += std::to_string(value.integer());
    } else if (value.has_tensor() && value.tensor().type() == GRPO_TYPE_INT && value.tensor().bits() == 64) {
      out += "[";
      const auto list = Unpack(values, function).list<std::int64_t>(value.name().c_str());
      for (std::size_t i = 0; i < list.size() && i < 6; ++i) out += (i ? ", " : "") + std::to_string(list[i]);
      out += list.size() > 6 ? ", ...]" : "]";
    } else if (value.has_tensor() && numbers_of(value.tensor(), numbers)) {
      out += "[";
      for (std::size_t i = 0; i < numbers.size() && i < 6; ++i)
        out += (i ? ", " : "") + std::to_string(static_cast<std::int64_t>(numbers[i]));
      out += numbers.size() > 6 ? ", ...]" : "]";
    } else {
      out += "...";
    }
  }
  return out + ")";
}

std::string bytes_of(const ValueList& values) {
  std::string out;
  for (const wire::Value& value : values) wire::append_delimited(out, value);
  return out;
}

template <class T>
void put(const Unpack& from, const char* name, T* to, std::int64_t n) {
  if (!to || n == 0) return;
  const auto values = from.list<T>(name, n);
  std::copy(values.begin(), values.end(), to);
}

}  // namespace

Script::Script(Comparison& compare) : compare_(compare) {
  model_.struct_size = sizeof model_;
  model_.describe = [](void* model) noexcept -> const grpo_model_info* { return &of(model).model_info_; };
  fill_decode();
  feed_.struct_size = sizeof feed_;
  feed_.host = this;
  feed_.next = [](const grpo_feed* f, const grpo_call* call, std::int64_t wait_ns,
                  const grpo_request** request) noexcept {
    return guarded(call, [&]() -> grpo_status {
      Script& self = of(f->host);
      ValueList argument;
      Pack(argument).integer("wait_ns", wait_ns);
      const wire::Envelope* answer = self.next("feed.next", argument);
      if (!answer) return self.fail(call);
      if (answer->status() == GRPO_STATUS_OK) *request = self.requests_.emplace_back(answer->result()).get();
      return answer->status();
    });
  };
  feed_.deliver = [](const grpo_feed* f, const grpo_call* call, const grpo_completion* c) noexcept {
    return guarded(call, [&] { return of(f->host).deliver(call, *c); });
  };
}

void Script::fill_decode() {
  decode_.struct_size = sizeof decode_;
  decode_.describe = [](void* model) noexcept -> const grpo_decode_info* { return &of(model).decode_info_; };
  decode_.session_open = [](void* model, const grpo_call* call, const grpo_decode_session* wanted, void** s) noexcept {
    return guarded(call, [&]() -> grpo_status {
      Script& self = of(model);
      ValueList argument;
      pack(*wanted, argument);
      const wire::Envelope* answer = self.next("decode.session_open", argument);
      if (!answer) return self.fail(call);
      if (answer->status() != GRPO_STATUS_OK) return answer->status();
      *s = &self.sessions_.emplace_back(
          Session{&self, Unpack(answer->result(), "decode.session_open").integer("session")});
      return GRPO_STATUS_OK;
    });
  };
  decode_.session_close = [](void* s) noexcept {
    guarded(nullptr, [&] {
      ValueList argument;
      Pack(argument).integer("session", session(s).number);
      session(s).of->next("decode.session_close", argument);
      return grpo_status{GRPO_STATUS_OK};
    });
  };
  decode_.free_tokens = [](void* s) noexcept -> std::int64_t {
    std::int64_t tokens = 0;
    guarded(nullptr, [&] {
      ValueList argument;
      Pack(argument).integer("session", session(s).number);
      const wire::Envelope* answer = session(s).of->next("decode.free_tokens", argument);
      if (answer) tokens = Unpack(answer->result(), "decode.free_tokens").integer("tokens");
      return grpo_status{GRPO_STATUS_OK};
    });
    return tokens;
  };
  decode_.prefill = [](void* s, const grpo_call* call, const grpo_decode_prefill* a) noexcept {
    return guarded(call, [&] {
      ValueList argument;
      pack(session(s).number, *a, argument);
      return session(s).of->status_of(call, "decode.prefill", argument);
    });
  };
  decode_.fork = [](void* s, const grpo_call* call, const grpo_decode_fork* a) noexcept {
    return guarded(call, [&] {
      ValueList argument;
      pack(session(s).number, *a, argument);
      return session(s).of->status_of(call, "decode.fork", argument);
    });
  };
  decode_.assign = [](void* s, const grpo_call* call, const grpo_decode_assign* a) noexcept {
    return guarded(call, [&] {
      ValueList argument;
      pack(session(s).number, *a, argument);
      return session(s).of->status_of(call, "decode.assign", argument);
    });
  };
  decode_.step = [](void* s, const grpo_call* call, const grpo_decode_step* a) noexcept {
    return guarded(call, [&] { return session(s).of->give_step(call, session(s).number, *a); });
  };
  decode_.release = [](void* s, std::int64_t n, const std::int64_t* slot) noexcept {
    guarded(nullptr, [&] {
      ValueList argument;
      pack_release(session(s).number, n, slot, argument);
      session(s).of->next("decode.release", argument);
      return grpo_status{GRPO_STATUS_OK};
    });
  };
}

void Script::describe(const Unpack& bind) {
  const Unpack m(bind.values("model"), "bind");
  grpo_model_info& i = model_info_;
  i.struct_size = sizeof i;
  i.flags = static_cast<std::uint32_t>(m.integer("flags"));
  i.vocabulary = m.integer("vocabulary");
  i.max_positions = m.integer("max_positions");
  i.max_tokens = m.integer("max_tokens");
  i.max_depth = static_cast<std::int32_t>(m.integer("max_depth"));
  i.max_tickets = static_cast<std::int32_t>(m.integer("max_tickets"));
  i.n_axes = static_cast<std::int32_t>(m.integer("n_axes"));
  i.n_elements = m.integer("n_elements");
  i.flops_per_token = m.number("flops_per_token");
  i.device_type = static_cast<std::int32_t>(m.integer("device_type"));
  i.device_id = static_cast<std::int32_t>(m.integer("device_id"));
  binding_ = {sizeof binding_, 0, this, &model_, nullptr, GRPO_HEADER_REVISION, 0};
  if (!bind.has("decode")) return;
  const Unpack d(bind.values("decode"), "bind");
  decode_info_ = {sizeof decode_info_, static_cast<std::uint32_t>(d.integer("flags")),
                  static_cast<std::uint32_t>(d.integer("sampling")), static_cast<std::int32_t>(d.integer("max_room"))};
  binding_.decode_table = &decode_;
}

void Script::begin(std::uint64_t) {
  entries_.clear();
  requests_.clear();
  at_ = 0;
  diverged_ = ends_early_ = false;
}

void Script::ends_early() { ends_early_ = true; }

void Script::add(const wire::Envelope& message) {
  if (!message.answer()) {
    entries_.push_back({message, {}, message.function() == "cancel"});
    return;
  }
  for (auto e = entries_.rbegin(); e != entries_.rend(); ++e)
    if (e->ask.id() == message.id()) {
      e->answer = message;
      e->answered = true;
      return;
    }
}

const wire::Envelope* Script::next(const std::string& function, const ValueList& argument) {
  static const wire::Envelope nothing;
  const std::lock_guard lock(mutex_);
  if (lenient_) return &nothing;
  for (; at_ < entries_.size() && entries_[at_].ask.function() == "cancel"; ++at_)
    if (cancel) cancel(static_cast<std::uint64_t>(Unpack(entries_[at_].ask.argument(), "cancel").integer("request")));
  if (diverged_) return nullptr;
  if (at_ == entries_.size()) return past_the_end(function, argument);
  Entry& e = entries_[at_];
  // How long it would wait is its own affair; what it delivers is compared value by value.
  const bool free = function == "feed.next" || function == "feed.deliver";
  if (e.ask.function() != function || (!free && bytes_of(e.ask.argument()) != bytes_of(argument))) {
    diverge(brief(e.ask.function(), e.ask.argument()), brief(function, argument));
    return nullptr;
  }
  ++at_;
  if (e.answered) return &e.answer;
  ends_early_ = true;
  return past_the_end(function, argument);
}

const wire::Envelope* Script::past_the_end(const std::string& function, const ValueList& argument) {
  if (!ends_early_) {
    diverge("nothing more", brief(function, argument));
  } else {
    diverged_ = true;
    compare_.note("the recording ends within a call of generate");
  }
  return nullptr;
}

grpo_status Script::status_of(const grpo_call* call, const std::string& function, const ValueList& argument) {
  const wire::Envelope* answer = next(function, argument);
  return answer ? answer->status() : fail(call);
}

grpo_status Script::fail(const grpo_call* call) const {
  return grpo_fail(call, GRPO_STATUS_FAILED, "replay: this is not what the sampler did when it was recorded");
}

void Script::diverge(const std::string& expected, const std::string& got) {
  diverged_ = true;
  compare_.differ(static_cast<std::int64_t>(at_), "what it asks for", expected, got);
}

grpo_status Script::give_step(const grpo_call* call, std::int64_t number, const grpo_decode_step& a) {
  ValueList argument;
  pack(number, a, argument);
  const wire::Envelope* answer = next("decode.step", argument);
  if (!answer) return fail(call);
  if (answer->status() != GRPO_STATUS_OK) return answer->status();
  const Unpack r(answer->result(), "decode.step");
  if (!(a.flags & GRPO_STEP_PEEK)) {
    put(r, "token", a.token, a.n * a.room);
    put(r, "count", a.count, a.n);
    put(r, "ended", a.ended, a.n);
    put(r, "logprob", a.logprob, a.n * a.room);
    put(r, "logprob_sampled", a.logprob_sampled, a.n * a.room);
  }
  put(r, "logits", a.logits, a.n * model_info_.vocabulary);
  return GRPO_STATUS_OK;
}

grpo_status Script::deliver(const grpo_call* call, const grpo_completion& c) {
  ValueList argument;
  pack(c, argument);
  const wire::Envelope* answer = next("feed.deliver", argument);
  if (!answer) return fail(call);
  if (lenient_) return GRPO_STATUS_OK;
  compare_values(compare_, entries_[at_ - 1].ask.argument(), argument);
  return answer->status();
}

void Script::end() {
  while (at_ < entries_.size() && entries_[at_].ask.function() == "cancel") ++at_;
  if (!diverged_ && at_ < entries_.size())
    diverge(brief(entries_[at_].ask.function(), entries_[at_].ask.argument()), "nothing more");
  requests_.clear();
}

void Script::lenient() { lenient_ = true; }

}  // namespace grpo::plugins::record
