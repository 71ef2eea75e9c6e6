#include "generation.hpp"

#include <algorithm>
#include <string>

namespace local {
namespace {

constexpr int64_t idle_wait_ns = 50'000'000;  // between two looks at cancellation while there is nothing to do

}  // namespace

generation::generation(sampler& s, const grpo::call& call, grpo::feed& feed) : s_(s), call_(call), feed_(feed) {
  const auto slots = static_cast<std::size_t>(s.set.slots);
  for (auto* list : {&live_, &fork_from_, &fork_to_, &started_, &finished_, &prompt_slot_, &chunk_slot_})
    list->reserve(slots);
  prompts_.reserve(slots);
  keys_.reserve(slots);
  samplings_.reserve(slots);
  chunk_start_.reserve(slots + 1);
  chunk_token_.reserve(static_cast<std::size_t>(s.prefill_chunk));
}

generation::~generation() {
  if (s_.cache.is_open()) s_.cache.release_all();
  for (row& r : s_.rows) r.of = nullptr;
}

void generation::run() {
  s_.take_cancels(cancels_);  // meant for requests of an earlier call
  for (;;) {
    call_.stop_if_asked();
    obey_cancels();
    pull();
    if (groups_.empty()) {
      if (feed_.ended()) return;
      continue;
    }
    prepare_cache();
    start_samples();
    step();
  }
}

// ---- requests

void generation::obey_cancels() {
  s_.take_cancels(cancels_);
  for (const uint64_t id : cancels_) {
    const auto g = std::find_if(groups_.begin(), groups_.end(), [&](const group& one) { return one.id == id; });
    if (g == groups_.end()) continue;
    for (const int64_t slot : live_)
      if (row_of(slot).of == &*g) finish(slot, GRPO_FINISH_CANCELLED);
    for (; g->waits(); ++g->started, --waiting_) {
      deliver(*g, g->started, nullptr, GRPO_FINISH_CANCELLED);
      ++g->delivered;
    }
    if (g->home >= 0) finished_.push_back(g->home);
    g->home = -1;
  }
  if (!cancels_.empty()) release_finished();
}

// Takes no more than the slots can use at once, so that other consumers of the same feed get their share.
void generation::pull() {
  while (waiting_ < s_.set.slots) {
    const grpo_request* request = feed_.next(groups_.empty() ? idle_wait_ns : 0);
    if (!request) return;
    group& g = groups_.emplace_back();
    take_request(s_, *request, g);
    waiting_ += request->n_samples;
    if (g.done()) groups_.pop_back();  // it asked for no sample
  }
}

// ---- the cache

group* generation::first_waiting() {
  const auto g = std::find_if(groups_.begin(), groups_.end(), [](const group& one) { return one.waits(); });
  return g == groups_.end() ? nullptr : &*g;
}

// A session cannot grow, so it is opened anew when no sample is live and the next one needs more than there is.
void generation::prepare_cache() {
  group* head = first_waiting();
  if (!head || !live_.empty()) return;
  if (head->home >= 0) {
    if (s_.cache.free_tokens() >= head->longest) return;
    finished_.push_back(head->home);
    head->home = -1;
    release_finished();
  }
  const int64_t minimum = head->request->n_prompt + head->longest;
  const int64_t wanted = s_.set.cache_tokens > 0 ? s_.set.cache_tokens : demand();
  const bool enough = s_.cache.is_open() && s_.cache.free_tokens() >= minimum;
  if (enough && (s_.cache.tokens() >= wanted || s_.cache.tokens() >= s_.cache_limit / 2)) return;
  open_cache(*head, minimum);
}

// Tokens for the samples that can run at once, as far as they are known. While the feed is open, those to come are
// taken to be like those that are here.
int64_t generation::demand() const {
  int64_t samples = 0, tokens = 0;
  for (const group& g : groups_) {
    const int64_t n = std::min(g.n_samples - g.started, s_.set.slots - samples);
    if (n > 0) tokens += g.request->n_prompt + n * g.longest;
    samples += n;
  }
  if (!feed_.ended() && samples < s_.set.slots) tokens = tokens * s_.set.slots / samples;
  return tokens + s_.set.slots * s_.room;  // so that the last tokens of a sample need no smaller steps
}

void generation::open_cache(const group& head, int64_t minimum) {
  const bool fixed = s_.set.cache_tokens > 0;
  const auto need_text = [&] {
    return "request " + std::to_string(head.id) + " needs " + std::to_string(minimum) +
           " tokens of cache for one sample (prompt " + std::to_string(head.request->n_prompt) + ", up to " +
           std::to_string(head.longest) + " new)";
  };
  if (fixed && s_.set.cache_tokens < minimum)
    throw grpo::failure(
        GRPO_STATUS_NO_MEMORY,
        need_text() + ", and cache_tokens is " + std::to_string(s_.set.cache_tokens) + ": raise it, or lower max_new");
  int64_t wanted = s_.set.cache_tokens;
  if (!fixed) {
    wanted = demand();
    wanted = (wanted + wanted / 8 + 255) / 256 * 256;  // the next prompts are a little longer; opening anew costs time
    if (wanted >= s_.cache_limit) wanted = s_.cache_limit / 2;
    wanted = std::max(wanted, minimum);
  }
  std::string why;
  const auto make = [&](const grpo_call* call, int64_t slots, int64_t tokens) {
    return s_.open_session(call, slots, tokens);
  };
  while (s_.cache.open(call_, s_.set.slots, wanted, why, make) != GRPO_STATUS_OK) {
    s_.cache_limit = std::min(s_.cache_limit, wanted);
    if (fixed || wanted == minimum)
      throw grpo::failure(GRPO_STATUS_NO_MEMORY, "the model has no memory for a cache of " + std::to_string(wanted) +
                                                     " tokens in " + std::to_string(s_.set.slots) + " slots (" + why +
                                                     "); " + need_text() +
                                                     (fixed ? ": lower cache_tokens" : ": lower max_new or slots"));
    wanted = std::max(minimum, wanted / 2);
  }
  if (s_.cache.free_tokens() < minimum)
    throw grpo::failure(GRPO_STATUS_NO_MEMORY, need_text() + ", and the model's cache of " + std::to_string(wanted) +
                                                   " tokens holds " + std::to_string(s_.cache.free_tokens()) +
                                                   ": raise cache_tokens");
  s_.host.log(GRPO_LOG_INFO,
              "cache of " + std::to_string(wanted) + " tokens for " + std::to_string(s_.set.slots) + " slots");
}

// ---- starting

void generation::start_samples() {
  if (waiting_ == 0) return;
  for (auto* list : {&prompt_slot_, &fork_from_, &fork_to_, &started_}) list->clear();
  prompts_.clear();
  keys_.clear();
  samplings_.clear();
  int64_t budget = s_.cache.free_tokens() - promised_;
  for (group& g : groups_) {
    if (g.waits()) place(g, budget);
    if (g.waits()) break;  // in the order of the feed: nobody is overtaken for ever
  }
  prefill();
  if (!fork_to_.empty()) s_.cache.session().fork(call_, fork_from_, fork_to_);
  if (!started_.empty()) s_.cache.session().assign(call_, started_, keys_, samplings_);
}

// Starts what slots and budget allow. The prompt stays alone in its home until the last sample, which moves in there.
void generation::place(group& g, int64_t& budget) {
  if (g.home < 0) {
    if (!s_.cache.has_free_slot() || budget < g.request->n_prompt + g.longest) return;
    g.home = s_.cache.take_slot();
    prompts_.push_back(g.request);
    prompt_slot_.push_back(g.home);
    budget -= g.request->n_prompt;
  }
  while (g.home >= 0 && g.waits() && budget >= g.longest) {
    const bool last = g.started + 1 == g.n_samples;
    const bool only_slot =
        !s_.cache.has_free_slot() && live_.empty();  // the prompt is computed again for the next sample
    if (!last && !only_slot && !s_.cache.has_free_slot()) return;
    int64_t slot = g.home;
    if (last || only_slot) {
      g.home = -1;
    } else {
      slot = s_.cache.take_slot();
      fork_from_.push_back(g.home);
      fork_to_.push_back(slot);
    }
    start(g, slot);
    budget -= g.longest;
  }
}

void generation::start(group& g, int64_t slot) {
  row& r = row_of(slot);
  r.reserve(g.longest);
  r.of = &g;
  r.index = g.started++;
  r.n = 0;
  --waiting_;
  promised_ += g.longest;
  live_.push_back(slot);
  started_.push_back(slot);
  keys_.push_back(grpo_random_key(g.request->key, static_cast<uint64_t>(r.index)));
  samplings_.push_back(g.sampling);
}

// Packs the prompts one after the other and cuts the pack every prefill_chunk tokens.
void generation::prefill() {
  std::size_t next = 0;  // of prompts_
  int64_t done = 0;      // tokens of it
  while (next < prompts_.size()) {
    call_.stop_if_asked();
    chunk_slot_.clear();
    chunk_start_.assign(1, 0);
    chunk_token_.clear();
    int64_t left = s_.prefill_chunk;
    uint32_t flags = GRPO_PREFILL_TRAIN;  // if all ask for it
    while (left > 0 && next < prompts_.size()) {
      const grpo_request& r = *prompts_[next];
      const int64_t n = std::min(left, r.n_prompt - done);
      if (!(r.flags & GRPO_REQUEST_TRAIN)) flags = 0;
      chunk_slot_.push_back(prompt_slot_[next]);
      chunk_token_.insert(chunk_token_.end(), r.prompt + done, r.prompt + done + n);
      chunk_start_.push_back(static_cast<int64_t>(chunk_token_.size()));
      left -= n;
      done += n;
      if (done == r.n_prompt) ++next, done = 0;
    }
    s_.cache.session().prefill(call_, chunk_slot_, chunk_start_, chunk_token_, flags);
  }
}

// ---- tokens

// As many as asked for, but no more than the neediest sample can use, nor than the cache can hold for all.
int64_t generation::room() const {
  int64_t useful = 0;
  for (const int64_t slot : live_) useful = std::max(useful, row_of(slot).of->longest - row_of(slot).n);
  const int64_t free = s_.cache.free_tokens() / static_cast<int64_t>(live_.size());
  if (free < 1)
    throw grpo::failure(GRPO_STATUS_FAILED, "the model's cache holds fewer tokens than it said it had free");
  return std::min({s_.room, useful, free});
}

void generation::step() {
  if (live_.empty()) return;
  s_.cache.session().step(call_, live_, room(), made_);
  for (std::size_t i = 0; i < live_.size(); ++i) {
    const int32_t how = append(row_of(live_[i]), i);
    if (how != GRPO_FINISH_NONE) finish(live_[i], how);
  }
  release_finished();
}

// What the last step made for a sample. Returns how it ended.
int32_t generation::append(row& r, std::size_t made) {
  const group& g = *r.of;
  const grpo::id_view ids = made_.ids(made);
  const auto n = static_cast<int64_t>(ids.size());
  const int32_t ended = made_.ended(made);
  if (r.n + n > g.longest || (n == 0 && ended == GRPO_FINISH_NONE))
    throw grpo::failure("a step of the model made " + std::to_string(n) + " tokens where between 1 and " +
                        std::to_string(g.longest - r.n) + " were due");
  std::copy_n(ids.data(), n, r.ids.get() + r.n);
  std::copy_n(made_.logprob(made).data(), n, r.logprob.get() + r.n);
  std::copy_n(made_.logprob_sampled(made).data(), n, r.sampled.get() + r.n);
  const int64_t from = r.n;
  r.n += n;
  promised_ -= n;
  if (g.request->sampling->n_stop_text > 0) {
    const int64_t cut = stop_texts_.find(s_.host.tokenizer(), *g.request->sampling, r.ids.get(), from, r.n);
    if (cut > 0) {
      promised_ += r.n - cut;
      r.n = cut;
      return GRPO_FINISH_STOP;
    }
  }
  if (ended == GRPO_FINISH_NONE && r.n == g.longest) return GRPO_FINISH_LENGTH;
  return ended;
}

// ---- the end of a sample

void generation::finish(int64_t slot, int32_t how) {
  row& r = row_of(slot);
  group& g = *r.of;
  deliver(g, r.index, &r, how);
  promised_ -= g.longest - r.n;
  ++g.delivered;
  r.of = nullptr;
  finished_.push_back(slot);
}

// r: NULL for a sample that never started.
void generation::deliver(const group& g, int64_t index, const row* r, int32_t how) {
  grpo::completion c;
  c.request = g.id;
  c.index = index;
  c.finish = how;
  c.version = s_.version();
  if (r) {
    c.ids = {r->ids.get(), r->n};
    c.logprob = {r->logprob.get(), r->n};
    c.logprob_sampled = {r->sampled.get(), r->n};
  }
  feed_.deliver(c);
}

void generation::release_finished() {
  if (!finished_.empty()) s_.cache.release(finished_);
  finished_.clear();
  std::erase_if(live_, [&](int64_t slot) { return !row_of(slot).of; });
  std::erase_if(groups_, [](const group& g) { return g.done(); });
}

}  // namespace local
