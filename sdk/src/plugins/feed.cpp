#include "feed.hpp"

#include <chrono>
#include <cmath>

#include "grpo/sdk/error.hpp"

namespace grpo::plugins {

RequestQueue::RequestQueue() : state_(std::make_unique<RequestQueueState>()) {}
RequestQueue::~RequestQueue() = default;

void RequestQueue::add(Request request) {
  {
    std::lock_guard lock(state_->mutex);
    if (state_->closed) throw Error("request " + std::to_string(request.id) + " was added to a queue that is closed");
    state_->waiting.push_back(std::move(request));
  }
  state_->changed.notify_all();
}

void RequestQueue::close() {
  {
    std::lock_guard lock(state_->mutex);
    state_->closed = true;
  }
  state_->changed.notify_all();
}

std::int64_t RequestQueue::waiting() const {
  std::lock_guard lock(state_->mutex);
  return static_cast<std::int64_t>(state_->waiting.size());
}

namespace {

// Texts stay where they are in `from`.
void fill(grpo_sampling& to, std::vector<grpo_str>& texts, const Sampling& from) {
  to = {};
  to.struct_size = sizeof to;
  to.temperature = from.temperature;
  to.top_p = from.top_p;
  to.min_p = from.min_p;
  to.repetition_penalty = from.repetition_penalty;
  to.top_k = from.top_k;
  to.min_new = from.min_new;
  to.max_new = from.max_new;
  to.n_stop = static_cast<std::int32_t>(from.stop.size());
  to.stop = from.stop.data();
  texts.clear();
  for (const std::string& text : from.stop_text)
    texts.push_back({text.c_str(), static_cast<std::int64_t>(text.size())});
  to.n_stop_text = static_cast<std::int32_t>(texts.size());
  to.stop_text = texts.data();
}

}  // namespace

std::string sampling_problem(const Sampling& s, std::uint32_t supported) {
  if (!(s.temperature >= 0) || std::isinf(s.temperature)) return "temperature must be 0 or more";
  if (!(s.top_p >= 0 && s.top_p <= 1)) return "top_p must be from 0 to 1";
  if (!(s.min_p >= 0 && s.min_p <= 1)) return "min_p must be from 0 to 1";
  if (!(s.repetition_penalty >= 0)) return "repetition_penalty must be over 0";
  if (s.top_k < 0 || s.min_new < 0 || s.max_new < 0) return "top_k, min_new and max_new must not be negative";
  if (s.max_new > 0 && s.min_new > s.max_new) return "min_new is over max_new";
  grpo_sampling table;
  std::vector<grpo_str> texts;
  fill(table, texts, s);
  const std::uint32_t beyond = grpo_sampling_used(&table) & ~supported;
  std::string names;
  const auto name = [&](std::uint32_t flag, const char* what) {
    if (beyond & flag) names += (names.empty() ? "" : ", ") + std::string(what);
  };
  name(GRPO_SAMPLING_TOP_K, "top_k");
  name(GRPO_SAMPLING_TOP_P, "top_p");
  name(GRPO_SAMPLING_MIN_P, "min_p");
  name(GRPO_SAMPLING_REPETITION_PENALTY, "repetition_penalty");
  name(GRPO_SAMPLING_MIN_NEW, "min_new");
  name(GRPO_SAMPLING_STOP_TEXT, "stop_text");
  return names.empty() ? "" : "this sampler, with this model, does not support " + names;
}

Feed::Feed(RequestQueueState& queue, FeedSettings settings) : queue_(queue), settings_(std::move(settings)) {
  table_.struct_size = sizeof table_;
  table_.host = this;
  table_.next = [](const grpo_feed* f, const grpo_call* call, std::int64_t wait_ns,
                   const grpo_request** request) noexcept -> grpo_status {
    return static_cast<Feed*>(f->host)->next(call, wait_ns, request);
  };
  table_.deliver = [](const grpo_feed* f, const grpo_call* call,
                      const grpo_completion* completion) noexcept -> grpo_status {
    return static_cast<Feed*>(f->host)->deliver(call, completion);
  };
}

grpo_status Feed::next(const grpo_call* call, std::int64_t wait_ns, const grpo_request** out) noexcept {
  try {
    Request request;
    {
      std::unique_lock lock(queue_.mutex);
      const auto ready = [&] { return !queue_.waiting.empty() || queue_.closed; };
      if (wait_ns > 0) queue_.changed.wait_for(lock, std::chrono::nanoseconds(wait_ns), ready);
      if (!ready()) return GRPO_STATUS_AGAIN;
      if (queue_.waiting.empty()) return GRPO_STATUS_END;
      request = std::move(queue_.waiting.front());
      queue_.waiting.pop_front();
    }
    settings_.check(request);
    *out = open(std::move(request));
    return GRPO_STATUS_OK;
  } catch (...) {
    return failed(call);
  }
}

const grpo_request* Feed::open(Request request) {
  std::lock_guard lock(mutex_);
  const std::uint64_t id = request.id;
  const auto [at, added] = open_.try_emplace(id);
  if (!added) throw Error("two open requests have the id " + std::to_string(id));
  Open& o = at->second;
  o.request = std::move(request);
  if (o.request.sampling) o.sampling = *o.request.sampling;
  fill(o.sampling_table, o.stop_text, o.sampling);
  o.delivered.resize(static_cast<std::size_t>(o.request.n_samples));
  o.missing = o.request.n_samples;
  o.table.struct_size = sizeof o.table;
  o.table.flags = o.request.train ? GRPO_REQUEST_TRAIN : 0;
  o.table.id = id;
  o.table.key = o.request.key;
  o.table.n_prompt = static_cast<std::int64_t>(o.request.prompt.size());
  o.table.n_samples = o.request.n_samples;
  o.table.prompt = o.request.prompt.data();
  o.table.sampling = &o.sampling_table;
  return &o.table;
}

Completion Feed::checked(const grpo_completion& c, const Open& open) const {
  const std::string which =
      settings_.who + ": delivered sample " + std::to_string(c.index) + " of request " + std::to_string(c.request);
  if (c.index < 0 || c.index >= open.request.n_samples)
    throw Error(which + ", which has " + std::to_string(open.request.n_samples) + " samples");
  if (open.delivered[static_cast<std::size_t>(c.index)]) throw Error(which + " twice");
  if (c.finish != GRPO_FINISH_STOP && c.finish != GRPO_FINISH_LENGTH && c.finish != GRPO_FINISH_CANCELLED) {
    throw Error(which + " with the finish reason " + std::to_string(c.finish));
  }
  if (c.n < 0 || (c.n > 0 && !c.ids)) throw Error(which + " without its ids");
  if (open.sampling.max_new > 0 && c.n > open.sampling.max_new) {
    throw Error(which + " with " + std::to_string(c.n) + " tokens; max_new is " +
                std::to_string(open.sampling.max_new));
  }
  if (c.logprob_kind < GRPO_LOGPROB_NONE || c.logprob_kind > GRPO_LOGPROB_SAMPLED) {
    throw Error(which + " with log-probabilities of the unknown kind " + std::to_string(c.logprob_kind));
  }
  if (c.n > 0 && (c.logprob != nullptr) != (c.logprob_kind != GRPO_LOGPROB_NONE)) {
    throw Error(which + (c.logprob ? " with log-probabilities of the kind none"
                                   : " without the log-probabilities that it announces"));
  }
  Completion out;
  out.request = c.request;
  out.index = c.index;
  out.ids.assign(c.ids, c.ids + c.n);
  out.finish = c.finish;
  out.logprob_kind = c.logprob_kind;
  if (c.logprob) out.logprob.assign(c.logprob, c.logprob + c.n);
  if (c.logprob_sampled) out.logprob_sampled.assign(c.logprob_sampled, c.logprob_sampled + c.n);
  out.version = c.version;
  if (c.token_version) out.token_version.assign(c.token_version, c.token_version + c.n);
  for (const std::int32_t id : out.ids) {
    if (id < 0 || (settings_.vocabulary > 0 && id >= settings_.vocabulary)) {
      throw Error(which + " with the id " + std::to_string(id) + ", which is not in the vocabulary");
    }
  }
  for (const float x : out.logprob) {
    if (std::isnan(x)) throw Error(which + " with a log-probability that is NaN");
  }
  return out;
}

grpo_status Feed::deliver(const grpo_call* call, const grpo_completion* completion) noexcept {
  try {
    std::lock_guard lock(mutex_);
    if (error_) return GRPO_STATUS_FAILED;
    const auto at = open_.find(completion->request);
    if (at == open_.end()) {
      throw Error(settings_.who + ": delivered a completion of request " + std::to_string(completion->request) +
                  ", which is not open");
    }
    Open& o = at->second;
    Completion out = checked(*completion, o);
    o.delivered[static_cast<std::size_t>(out.index)] = true;
    --o.missing;
    settings_.deliver(std::move(out));
    if (o.missing == 0) open_.erase(at);
    return GRPO_STATUS_OK;
  } catch (...) {
    return failed(call);
  }
}

grpo_status Feed::failed(const grpo_call* call) noexcept {
  const std::exception_ptr error = std::current_exception();
  try {
    {
      std::lock_guard lock(mutex_);
      if (!error_) error_ = error;
    }
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return grpo_fail(call, GRPO_STATUS_FAILED, e.what());
  } catch (...) {
    return grpo_fail(call, GRPO_STATUS_FAILED, "an exception of an unknown type");
  }
}

void Feed::rethrow() const {
  std::lock_guard lock(mutex_);
  if (error_) std::rethrow_exception(error_);
}

void Feed::check_complete() const {
  std::lock_guard lock(mutex_);
  std::lock_guard queue_lock(queue_.mutex);
  if (!queue_.waiting.empty() || !queue_.closed) {
    throw Error(settings_.who + ": generate returned before the end of the feed: " +
                std::to_string(queue_.waiting.size()) + " requests were not taken");
  }
  if (open_.empty()) return;
  const Open& o = open_.begin()->second;
  throw Error(settings_.who + ": generate returned, but request " + std::to_string(o.request.id) + " still lacks " +
              std::to_string(o.missing) + " of its " + std::to_string(o.request.n_samples) + " completions" +
              (open_.size() > 1 ? " (and " + std::to_string(open_.size() - 1) + " other requests lack some)" : ""));
}

}  // namespace grpo::plugins
