#include "isolated_sampler.hpp"

#include <algorithm>

#include "area.hpp"
#include "control.pb.h"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/call.hpp"
#include "wire/wire.hpp"

namespace grpo::plugins::isolate {
namespace {

constexpr std::int64_t longest_wait_ns = 50'000'000;

void fill(const grpo_request& from, wire::Request& to) {
  to.set_flags(from.flags);
  to.set_id(from.id);
  to.set_key(from.key);
  to.set_n_samples(from.n_samples);
  to.mutable_prompt()->Add(from.prompt, from.prompt + from.n_prompt);
  const grpo_sampling& s = *from.sampling;
  wire::Sampling& sampling = *to.mutable_sampling();
  sampling.set_temperature(s.temperature);
  sampling.set_top_p(s.top_p);
  sampling.set_min_p(s.min_p);
  sampling.set_repetition_penalty(s.repetition_penalty);
  sampling.set_top_k(s.top_k);
  sampling.set_min_new(s.min_new);
  sampling.set_max_new(s.max_new);
  sampling.mutable_stop()->Add(s.stop, s.stop + s.n_stop);
  for (std::int32_t i = 0; i < s.n_stop_text; ++i)
    sampling.add_stop_text(s.stop_text[i].data, static_cast<std::size_t>(s.stop_text[i].size));
}

}  // namespace

IsolatedSampler::IsolatedSampler(std::string program, Component what, const IsolateSettings& settings)
    : launcher_(std::move(program), std::move(what), settings) {
  sink_.struct_size = sizeof sink_;
  sink_.owner = this;  // no flags: tensors come in host memory
  sink_.put = [](const grpo_tensor_sink* sink, const grpo_call* call, std::int64_t n,
                 const grpo_named_tensor* const* tensors) noexcept -> grpo_status {
    try {
      return static_cast<IsolatedSampler*>(sink->owner)->put(call, n, tensors);
    } catch (const std::exception& e) {
      return fail(call, GRPO_STATUS_FAILED, e.what());
    }
  };
}

IsolatedSampler::~IsolatedSampler() {
  if (!child_) return;
  const std::int64_t until = from_now(launcher_.settings().close_seconds);
  wire::ToChild message;
  message.mutable_close();
  if (!child_->has_ended()) child_->send(message, until);
  launcher_.close(std::move(child_), until);
}

grpo_status IsolatedSampler::open(const grpo_call* call, const grpo_options* options, std::unique_ptr<Child> spare) {
  launcher_.set(call, options);
  auto child = spare ? std::move(spare) : launcher_.start();
  wire::Opened opened;
  if (const grpo_status status = launcher_.open_in(*child, call, &opened); status != GRPO_STATUS_OK) return status;
  if (opened.sampler().flags() & GRPO_SAMPLER_BINDS)
    return fail(
        call, GRPO_STATUS_UNSUPPORTED,
        "this sampler binds to the model of the host: it drives its cache token by token and reads its weights, so "
        "it cannot run in a process of its own; leave `isolate` out");
  info_.struct_size = sizeof info_;
  // Updates come between two generates, and extras do not cross.
  info_.flags = opened.sampler().flags() & GRPO_SAMPLER_UPDATES;
  info_.sampling = opened.sampler().sampling();
  info_.logprob_kind = opened.sampler().logprob_kind();
  info_.max_positions = opened.sampler().max_positions();
  child_ = std::move(child);
  return GRPO_STATUS_OK;
}

void IsolatedSampler::drop() {
  std::lock_guard lock(child_mutex_);
  child_.reset();
  without_weights_ = (info_.flags & GRPO_SAMPLER_UPDATES) != 0;
}

grpo_status IsolatedSampler::ready(const grpo_call* call) {
  if (child_ && child_->has_ended()) {
    const std::string how = "between two calls " + child_->how();
    drop();
    launcher_.lost(how);
  }
  if (child_) return GRPO_STATUS_OK;
  std::string why;
  auto child = launcher_.restart(call, why);
  if (!child) return fail(call, GRPO_STATUS_FAILED, why);
  std::lock_guard lock(child_mutex_);
  child_ = std::move(child);
  return GRPO_STATUS_OK;
}

void IsolatedSampler::cancel(std::uint64_t request) {
  std::lock_guard lock(child_mutex_);
  cancelled_.insert(request);
  wire::ToChild message;
  message.mutable_cancel()->set_request(request);
  if (child_) child_->send(message, from_now(1));
}

bool IsolatedSampler::is_cancelled(std::uint64_t request) {
  std::lock_guard lock(child_mutex_);
  return cancelled_.contains(request);
}

grpo_status IsolatedSampler::generate(const grpo_call* call, const grpo_feed* feed) {
  open_.clear();
  again_.clear();
  feed_ended_ = false;
  {
    std::lock_guard lock(child_mutex_);
    cancelled_.clear();
  }
  if (const grpo_status status = ready(call); status != GRPO_STATUS_OK) return status;
  if (without_weights_)
    return fail(call, GRPO_STATUS_FAILED, "its process was started again and has no weights yet: update it first");
  return converse(call, feed);
}

// Answers what the sampler asks, until it is done.
grpo_status IsolatedSampler::converse(const grpo_call* call, const grpo_feed* feed) {
  wire::ToChild begin;
  begin.mutable_generate()->set_deadline_ns(call->deadline_ns);
  child_->send(begin, from_now(10));
  std::int64_t until = 0;  // once it has been asked to stop
  wire::ToHost message;
  for (;;) {
    const auto got = child_->wait(message, until != 0 ? until : monotonic_now_ns() + longest_wait_ns);
    wire::ToChild answer;
    if (got == Child::Wait::late) {
      if (until == 0 && stopped(call)) {
        answer.mutable_stop();
        child_->send(answer, from_now(1));
        until = from_now(launcher_.settings().grace_seconds);
      } else if (until != 0) {
        drop();
        return fail(call, GRPO_STATUS_CANCELLED, "did not stop when it was asked to; its process was killed");
      }
    } else if (got == Child::Wait::ended) {
      std::string why;
      if (!begin_again(call, "generate: " + child_->how(), why)) return fail(call, GRPO_STATUS_FAILED, why);
      child_->send(begin, from_now(10));
    } else if (message.has_next()) {
      next(call, feed, message.next().wait_ns(), *answer.mutable_next());
      child_->send(answer, from_now(10));
      if (answer.next().status() == GRPO_STATUS_OK && is_cancelled(answer.next().request().id()))
        cancel(answer.next().request().id());  // of an earlier process
    } else if (message.has_completion()) {
      answer.mutable_delivered()->set_status(deliver(call, feed, message.completion()));
      child_->send(answer, from_now(10));
    } else if (message.has_done()) {
      if (message.done().status() == GRPO_STATUS_OK) launcher_.went_well();
      if (message.done().error().empty()) return message.done().status();
      return fail(call, message.done().status(), message.done().error());
    } else {
      drop();
      launcher_.lost("generate: its process said something that does not belong there");
      return fail(call, GRPO_STATUS_FAILED, "its process said something that does not belong there");
    }
  }
}

// A new process goes on with the requests that are open: an engine that holds no weights of ours can. Samples that were
// delivered are not delivered again.
bool IsolatedSampler::begin_again(const grpo_call* call, const std::string& how, std::string& why) {
  drop();
  launcher_.lost(how);
  if (without_weights_) {
    why = how + "; the weights that it had been given are gone with it";
    return false;
  }
  auto child = launcher_.restart(call, why);
  if (!child) return false;
  again_.clear();
  for (const auto& [id, open] : open_) again_.push_back(open.request);
  std::lock_guard lock(child_mutex_);
  child_ = std::move(child);
  return true;
}

void IsolatedSampler::next(const grpo_call* call, const grpo_feed* feed, std::int64_t wait_ns,
                           wire::NextAnswer& answer) {
  const grpo_request* request = nullptr;
  grpo_status status = GRPO_STATUS_OK;
  if (!again_.empty()) {
    request = again_.front();
    again_.pop_front();
  } else if (feed_ended_) {
    status = GRPO_STATUS_END;
  } else {
    status = feed->next(feed, call, std::clamp<std::int64_t>(wait_ns, 0, longest_wait_ns), &request);
    feed_ended_ = status == GRPO_STATUS_END;
    if (status == GRPO_STATUS_OK)
      open_[request->id] = {request, std::vector<bool>(static_cast<std::size_t>(request->n_samples)),
                            request->n_samples};
  }
  answer.set_status(status);
  if (status == GRPO_STATUS_OK) fill(*request, *answer.mutable_request());
}

grpo_status IsolatedSampler::deliver(const grpo_call* call, const grpo_feed* feed, const wire::Completion& m) {
  const auto fits = [&m](int size) { return size == 0 || size == m.ids_size(); };
  if (!fits(m.logprob_size()) || !fits(m.logprob_sampled_size()) || !fits(m.token_version_size()))
    return fail(call, GRPO_STATUS_INVALID, "a completion whose arrays have different lengths");
  const auto at = open_.find(m.request());
  const bool known = at != open_.end() && m.index() >= 0 && m.index() < at->second.request->n_samples;
  if (known && at->second.delivered[static_cast<std::size_t>(m.index())]) return GRPO_STATUS_OK;
  grpo_completion c{};
  c.struct_size = sizeof c;
  c.request = m.request();
  c.index = m.index();
  c.n = m.ids_size();
  c.ids = m.ids().data();
  c.finish = m.finish();
  c.logprob_kind = m.logprob_kind();
  static constexpr float none = 0;  // arrays without elements are arrays all the same
  if (m.logprob_kind() != GRPO_LOGPROB_NONE) c.logprob = c.n > 0 ? m.logprob().data() : &none;
  if (m.logprob_size() == 0 && c.n > 0) c.logprob = nullptr;
  if (m.logprob_sampled_size() > 0) c.logprob_sampled = m.logprob_sampled().data();
  if (m.token_version_size() > 0) c.token_version = m.token_version().data();
  c.version = m.version();
  // The feed checks the rest, and complains of what is not open. It forgets the request with its last completion.
  const grpo_status status = feed->deliver(feed, call, &c);
  if (status != GRPO_STATUS_OK || !known) return status;
  at->second.delivered[static_cast<std::size_t>(m.index())] = true;
  if (--at->second.missing == 0) open_.erase(at);
  return GRPO_STATUS_OK;
}

// One call that has no questions of its own.
grpo_status IsolatedSampler::ask(const grpo_call* call, const wire::ToChild& message, const char* function,
                                 int descriptor) {
  const std::int64_t until = from_now(launcher_.settings().open_seconds);
  child_->send(message, until, descriptor);
  wire::ToHost answer;
  const auto got = child_->wait(answer, until);
  if (got == Child::Wait::message && answer.has_done()) {
    if (answer.done().error().empty()) return answer.done().status();
    return fail(call, answer.done().status(), answer.done().error());
  }
  const std::string how =
      got == Child::Wait::ended ? child_->how() : "did not come back in time; its process was killed";
  drop();
  launcher_.lost(std::string(function) + ": " + how);
  return fail(call, GRPO_STATUS_FAILED, how);
}

grpo_status IsolatedSampler::update_begin(const grpo_call* call, std::int64_t version, const grpo_tensor_sink** sink) {
  if (const grpo_status status = ready(call); status != GRPO_STATUS_OK) return status;
  wire::ToChild message;
  message.mutable_update_begin()->set_version(version);
  const grpo_status status = ask(call, message, "update_begin");
  if (status == GRPO_STATUS_OK) *sink = &sink_;
  return status;
}

grpo_status IsolatedSampler::put(const grpo_call* call, std::int64_t n, const grpo_named_tensor* const* tensors) {
  if (!child_) return fail(call, GRPO_STATUS_FAILED, "its process is gone");
  wire::ToChild message;
  wire::Put& put = *message.mutable_put();
  std::size_t size = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const grpo_dltensor& t = tensors[i]->tensor->dl;
    wire::TensorPlace& place = *put.add_tensor();
    place.set_name(tensors[i]->name);
    place.set_type(t.type);
    place.set_bits(t.bits);
    place.set_lanes(t.lanes);
    place.mutable_shape()->Add(t.shape, t.shape + t.ndim);
    place.set_at(size);
    size += (wire::packed_size(t) + 63) / 64 * 64;
  }
  const Area area = Area::create(std::max<std::size_t>(size, 64));
  for (std::int64_t i = 0; i < n; ++i)
    wire::copy_packed(tensors[i]->tensor->dl, area.data() + put.tensor(static_cast<int>(i)).at());
  put.set_size(area.size());
  return ask(call, message, "put", area.fd());
}

grpo_status IsolatedSampler::update_end(const grpo_call* call, bool accept) {
  if (!child_) return fail(call, GRPO_STATUS_FAILED, "its process is gone");
  wire::ToChild message;
  message.mutable_update_end()->set_accept(accept);
  const grpo_status status = ask(call, message, "update_end");
  if (status == GRPO_STATUS_OK && accept) without_weights_ = false;
  return status;
}

}  // namespace grpo::plugins::isolate
