// The feed of generate: requests that end with their last completion, completions that answer one.
#include <algorithm>
#include <cmath>

#include "decode.hpp"
#include "layers/layer.hpp"
#include "sampler.hpp"

namespace grpo::plugins::check {
namespace {

constexpr float tolerance = 1e-4f;  // of rounding, above 0
constexpr std::size_t most_resting = 64;

std::string request_problem(const grpo_request* r, std::uint32_t honoured, std::int64_t vocabulary) {
  if (!r || too_short(r)) return "the request is NULL, or too short";
  if (r->n_prompt < 1 || !r->prompt) return "a prompt of " + std::to_string(r->n_prompt) + " tokens";
  if (r->n_samples < 1) return std::to_string(r->n_samples) + " samples";
  for (std::int64_t i = 0; i < r->n_prompt; ++i)
    if (r->prompt[i] < 0 || (vocabulary > 0 && r->prompt[i] >= vocabulary))
      return "the prompt holds the id " + std::to_string(r->prompt[i]);
  return sampling_problem(r->sampling, honoured, vocabulary);
}

}  // namespace

CheckedFeed::CheckedFeed(SamplerHandle& owner, const grpo_feed* inner) : owner_(owner), inner_(inner) {
  table_.struct_size = sizeof table_;
  table_.host = this;
  table_.next = [](const grpo_feed* f, const grpo_call* call, std::int64_t wait_ns,
                   const grpo_request** request) noexcept -> grpo_status {
    return guarded(call, [&] { return static_cast<CheckedFeed*>(f->host)->next(call, wait_ns, request); });
  };
  table_.deliver = [](const grpo_feed* f, const grpo_call* call, const grpo_completion* c) noexcept -> grpo_status {
    return guarded(call, [&] { return static_cast<CheckedFeed*>(f->host)->deliver(call, c); });
  };
}

bool CheckedFeed::usable(const char* function) {
  if (live_.load()) return true;
  broken(rule::feed_stale, function, "called after generate had returned");
  return false;
}

grpo_status CheckedFeed::next(const grpo_call* call, std::int64_t wait_ns, const grpo_request** out) {
  if (!usable("feed.next")) return GRPO_STATUS_INVALID;
  if (!call || !out || wait_ns < 0) {
    broken(rule::feed_arguments, "feed.next",
           wait_ns < 0 ? "a negative time to wait" : "the call or the place is NULL");
    return GRPO_STATUS_INVALID;
  }
  const grpo_request* request = nullptr;
  const grpo_status status = inner_->next(inner_, call, wait_ns, &request);
  std::lock_guard lock(mutex_);
  if (status == GRPO_STATUS_END) ended_ = true;
  if (status != GRPO_STATUS_OK) {
    if (status != GRPO_STATUS_END && status != GRPO_STATUS_AGAIN) told = status;
    return status;
  }
  if (const auto problem = request_problem(request, owner_.said.sampling, owner_.vocabulary); !problem.empty()) {
    broken(rule::sampler_arguments, "feed.next", problem, true);
    return told = GRPO_STATUS_INVALID;
  }
  Open& open = open_[request->id];
  if (open.request) {
    broken(rule::sampler_arguments, "feed.next", "request " + std::to_string(request->id) + " is open already", true);
    return told = GRPO_STATUS_INVALID;
  }
  if (resting_.size() >= most_resting) {
    open.memory = std::move(resting_.front());
    resting_.pop_front();
  } else {
    open.memory = std::make_unique<Scratch>(4096);
  }
  Scratch& m = *open.memory;
  m.begin();
  grpo_request* r = m.structure(*request);
  r->prompt = m.input(r->prompt, r->n_prompt, "prompt");
  grpo_sampling* s = m.structure(*request->sampling);
  s->stop = m.input(s->stop, s->n_stop, "stop");
  s->stop_text = m.texts(s->stop_text, s->n_stop_text, "stop_text", "text");
  r->sampling = s;
  m.lock(s, "the sampling options");
  m.lock(r, "the request");
  open.request = r;
  open.delivered.assign(static_cast<std::size_t>(r->n_samples), false);
  open.missing = r->n_samples;
  *out = r;
  return status;
}

// A stopped completion ends with its stop id, and nothing else holds one.
bool CheckedFeed::end_is_sound(const grpo_completion& c, const Open& open, const std::string& which) {
  const grpo_sampling& s = *open.request->sampling;
  const auto is_stop = [&](std::int32_t id) { return std::find(s.stop, s.stop + s.n_stop, id) != s.stop + s.n_stop; };
  const auto bad = [&](const Rule& rule, const std::string& what) {
    broken(rule, "feed.deliver", which + " " + what);
    return false;
  };
  if (c.finish != GRPO_FINISH_STOP && c.finish != GRPO_FINISH_LENGTH && c.finish != GRPO_FINISH_CANCELLED)
    return bad(rule::sampler_finish, "has the finish reason " + std::to_string(c.finish));
  for (std::int64_t i = 0; i + 1 < c.n; ++i)
    if (is_stop(c.ids[i])) return bad(rule::sampler_finish, "goes on after the stop id " + std::to_string(c.ids[i]));
  const bool stopped = c.n > 0 && is_stop(c.ids[c.n - 1]);
  if (stopped && c.finish == GRPO_FINISH_LENGTH)
    return bad(rule::sampler_finish, "ends with a stop id, and says it ended by length");
  if (c.finish == GRPO_FINISH_STOP && !stopped && s.n_stop_text == 0)
    return bad(rule::sampler_finish, "stopped, and its last token is no stop id");
  if (s.max_new > 0 && c.n > s.max_new)
    return bad(rule::sampler_limit, "has " + std::to_string(c.n) + " tokens; max_new is " + std::to_string(s.max_new));
  if (stopped && c.n <= s.min_new)
    return bad(rule::sampler_limit,
               "stopped after " + std::to_string(c.n - 1) + " tokens; min_new is " + std::to_string(s.min_new));
  std::lock_guard lock(owner_.feeds_mutex);
  if (c.finish == GRPO_FINISH_CANCELLED && !owner_.cut_short && !owner_.cancelled.contains(c.request))
    return bad(rule::sampler_unasked, "is cancelled, and nobody cancelled it");
  return true;
}

bool CheckedFeed::is_sound(const grpo_completion& c, const Open& open) {
  const std::string which = "sample " + std::to_string(c.index) + " of request " + std::to_string(c.request);
  const auto bad = [&](const Rule& rule, const std::string& what) {
    broken(rule, "feed.deliver", which + " " + what);
    return false;
  };
  if (c.index < 0 || c.index >= open.request->n_samples)
    return bad(rule::sampler_request, "does not exist: it has " + std::to_string(open.request->n_samples));
  if (open.delivered[static_cast<std::size_t>(c.index)]) return bad(rule::sampler_twice, "was delivered before");
  if (c.n < 0 || (c.n > 0 && !c.ids))
    return bad(rule::sampler_token, "has " + std::to_string(c.n) + " tokens, and no ids");
  for (std::int64_t i = 0; i < c.n; ++i)
    if (c.ids[i] < 0 || (owner_.vocabulary > 0 && c.ids[i] >= owner_.vocabulary))
      return bad(rule::sampler_token, "holds the id " + std::to_string(c.ids[i]));
  if (c.logprob_kind < GRPO_LOGPROB_NONE || c.logprob_kind > GRPO_LOGPROB_SAMPLED)
    return bad(rule::sampler_logprob, "has log-probabilities of the kind " + std::to_string(c.logprob_kind));
  if (c.n > 0 && (c.logprob != nullptr) != (c.logprob_kind != GRPO_LOGPROB_NONE))
    return bad(rule::sampler_logprob,
               c.logprob ? "has log-probabilities of the kind none" : "lacks its log-probabilities");
  if (c.n > 0 && c.logprob && c.logprob_kind != owner_.said.logprob_kind)
    return bad(rule::sampler_logprob, "has log-probabilities of the kind " + std::to_string(c.logprob_kind) +
                                          "; the description says " + std::to_string(owner_.said.logprob_kind));
  for (const float* values : {c.logprob, c.logprob_sampled})
    for (std::int64_t i = 0; values && i < c.n; ++i)
      if (std::isnan(values[i]) || values[i] > tolerance)
        return bad(rule::sampler_logprob,
                   "has the log-probability " + std::to_string(values[i]) + " at token " + std::to_string(i));
  const std::int64_t newest = owner_.newest.load();
  if (newest != INT64_MIN && c.version > newest)
    return bad(rule::sampler_version,
               "is of version " + std::to_string(c.version) + "; the newest is " + std::to_string(newest));
  for (std::int64_t i = 0; c.token_version && i < c.n; ++i)
    if (c.token_version[i] > c.version)
      return bad(rule::sampler_version, "has a token of a later version than its last one");
  return end_is_sound(c, open, which);
}

// While the host's own request is still there.
void CheckedFeed::compare(const Open& open) {
  if (const Damage damage = open.memory->damage(); damage.kind != Damage::Kind::none)
    broken(rule::inputs_written, "generate", "it wrote into a request: " + damage.what);
}

void CheckedFeed::retire(Open& open) {
  open.memory->end();
  resting_.push_back(std::move(open.memory));
}

grpo_status CheckedFeed::deliver(const grpo_call* call, const grpo_completion* completion) {
  if (!usable("feed.deliver")) return GRPO_STATUS_INVALID;
  if (!call || !completion || too_short(completion)) {
    broken(!completion || call ? rule::struct_size : rule::feed_arguments, "feed.deliver",
           "the call is NULL, or the completion is NULL or too short");
    return told = GRPO_STATUS_INVALID;
  }
  std::unique_lock lock(mutex_);
  const auto at = open_.find(completion->request);
  if (at == open_.end()) {
    broken(rule::sampler_request, "feed.deliver", "request " + std::to_string(completion->request) + " is not open");
    return told = GRPO_STATUS_INVALID;
  }
  if (!is_sound(*completion, at->second)) return told = GRPO_STATUS_INVALID;
  at->second.delivered[static_cast<std::size_t>(completion->index)] = true;
  const bool last = --at->second.missing == 0;
  Open done;
  if (last) {
    done = std::move(at->second);
    open_.erase(at);
    compare(done);
  }
  lock.unlock();  // the host's callback may take long
  const grpo_status status = inner_->deliver(inner_, call, completion);
  if (status != GRPO_STATUS_OK) told = status;
  lock.lock();
  if (last) retire(done);
  for (const auto& memory : resting_)
    if (memory->touched()) broken(rule::memory_kept, "generate", "a request was touched after its last completion");
  return status;
}

void CheckedFeed::look_at_end(Run& run, grpo_status status) {
  std::lock_guard lock(mutex_);
  for (const auto& memory : resting_)
    if (memory->touched()) run.broken(rule::memory_kept, "a request was touched after its last completion");
  if (status != GRPO_STATUS_OK || told != GRPO_STATUS_OK) return;
  if (!ended_) run.broken(rule::sampler_missing, "it returned before the end of the feed");
  if (open_.empty()) return;
  const auto& [id, open] = *open_.begin();
  run.broken(rule::sampler_missing, "request " + std::to_string(id) + " still lacks " + std::to_string(open.missing) +
                                        " of its " + std::to_string(open.request->n_samples) + " completions" +
                                        (open_.size() > 1 ? ", and other requests too" : ""));
}

void CheckedFeed::end() {
  live_.store(false);
  std::lock_guard lock(mutex_);
  for (auto& [id, open] : open_) {
    if (!open.memory) continue;
    compare(open);
    retire(open);
  }
  open_.clear();
}

}  // namespace grpo::plugins::check
