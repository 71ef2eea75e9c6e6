#include "isolated_reward.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "control.pb.h"
#include "grpo/sdk/plugins/call.hpp"
#include "results.hpp"

namespace grpo::plugins::isolate {
namespace {

constexpr std::int64_t look_ns = 50'000'000;

}  // namespace

// A place, for the length of a call.
class IsolatedReward::Lease {
 public:
  Lease(IsolatedReward& owner, const grpo_call* call) : owner_(owner), place_(owner.take(call)) {}
  ~Lease() {
    if (place_) owner_.give(place_);
  }
  Lease(const Lease&) = delete;
  Place* get() const { return place_; }

 private:
  IsolatedReward& owner_;
  Place* place_;
};

IsolatedReward::IsolatedReward(std::string program, Component what, const IsolateSettings& settings, int children)
    : launcher_(std::move(program), std::move(what), settings) {
  for (int i = 0; i < children; ++i) places_.push_back(std::make_unique<Place>());
}

IsolatedReward::~IsolatedReward() {
  wire::ToChild close;
  close.mutable_close();
  const std::int64_t until = from_now(launcher_.settings().close_seconds);
  for (const auto& place : places_) {
    if (place->child && !place->child->has_ended()) place->child->send(close, until);
  }
  for (const auto& place : places_) {
    if (place->child) launcher_.close(std::move(place->child), until);
  }
}

grpo_status IsolatedReward::open(const grpo_call* call, const grpo_options* options, std::unique_ptr<Child> spare) {
  launcher_.set(call, options);
  Place& first = *places_.front();
  first.child = spare ? std::move(spare) : launcher_.start();
  const grpo_status status = launcher_.open_in(*first.child, call);
  if (status != GRPO_STATUS_OK) first.child.reset();  // nothing to close
  return status;
}

grpo_status IsolatedReward::score(const grpo_call* call, const grpo_reward_batch* batch,
                                  const grpo_reward_result* result) {
  const Lease lease(*this, call);
  if (!lease.get()) return fail(call, GRPO_STATUS_DEADLINE, "no process was free in time");
  Place& place = *lease.get();
  if (place.child && place.child->has_ended()) lost(place, "between two calls " + place.child->how());
  if (const grpo_status status = ready(place, call); status != GRPO_STATUS_OK) return status;
  return run(place, call, batch, result);
}

// A free place, or null when the call is stopped first.
IsolatedReward::Place* IsolatedReward::take(const grpo_call* call) {
  std::unique_lock lock(mutex_);
  for (;;) {
    Place* found = nullptr;
    for (const auto& place : places_) {
      if (!place->busy && (!found || (place->child && !found->child))) found = place.get();
    }
    if (found) {
      found->busy = true;
      return found;
    }
    free_.wait_for(lock, std::chrono::milliseconds(50));
    if (stopped(call)) return nullptr;
  }
}

void IsolatedReward::give(Place* place) {
  {
    std::lock_guard lock(mutex_);
    place->busy = false;
  }
  free_.notify_one();
}

// A process that is open, started if there is none.
grpo_status IsolatedReward::ready(Place& place, const grpo_call* call) {
  if (place.child) return GRPO_STATUS_OK;
  std::string why;
  place.child = launcher_.restart(call, why);
  place.area_is_new = place.area.size() > 0;
  return place.child ? GRPO_STATUS_OK : fail(call, GRPO_STATUS_FAILED, why);
}

grpo_status IsolatedReward::run(Place& place, const grpo_call* call, const grpo_reward_batch* batch,
                                const grpo_reward_result* result) {
  const std::size_t needed = input_at + input_size(*batch) + output_size(batch->n_samples);
  wire::ToChild message;
  wire::Score& m = *message.mutable_score();
  if (needed > place.area.size()) {
    place.area = Area::create(std::max(needed + needed / 2, std::size_t{1} << 20) & ~std::size_t{4095});
    place.area_is_new = true;
  }
  if (place.area_is_new) m.set_area_size(place.area.size());
  place.area.cancelled().store(false, std::memory_order_relaxed);
  pack(*batch, place.area, m);
  const Outputs out = outputs_at(place.area.data() + m.output_at(), batch->n_samples);
  clear(out, batch->n_samples);
  m.set_id(++place.calls);
  m.set_deadline_ns(call->deadline_ns);

  // The deadline is the plugin's to keep; grace later it is the host's.
  std::int64_t until = call->deadline_ns == 0 ? 0 : call->deadline_ns + nanoseconds(launcher_.settings().grace_seconds);
  place.child->send(message, until, place.area_is_new ? place.area.fd() : -1);
  place.area_is_new = false;
  wire::ToHost answer;
  bool cancelled = false;
  const auto got = [&] {
    for (;;) {
      const std::int64_t next_look = monotonic_now_ns() + look_ns;
      const auto w = place.child->wait(answer, until == 0 ? next_look : std::min(until, next_look));
      if (w != Child::Wait::late) return w;
      const std::int64_t now = monotonic_now_ns();
      if (until != 0 && now >= until) return w;
      if (!cancelled && stopped(call)) {
        cancelled = call->deadline_ns == 0 || now < call->deadline_ns;
        place.area.cancelled().store(true, std::memory_order_relaxed);
        if (cancelled) until = now + nanoseconds(launcher_.settings().grace_seconds);
      }
    }
  }();
  if (got == Child::Wait::late) return late(place, out, call, batch, result, cancelled);
  if (got == Child::Wait::ended) {
    const std::int64_t done = count_done(out, batch->n_samples);
    const std::string how = place.child->how() + " (" + std::to_string(done) + " of " +
                            std::to_string(batch->n_samples) + " samples had a score)";
    lost(place, "score: " + how);
    return fail(call, GRPO_STATUS_FAILED, how);
  }
  if (!answer.has_scored() || answer.scored().id() != m.id()) {
    lost(place, "score: its process answered something else");
    return fail(call, GRPO_STATUS_FAILED, "its process answered something else than the scores, and was killed");
  }
  launcher_.went_well();
  const wire::Scored& scored = answer.scored();
  take_results(out, batch->n_samples, &scored, call, result);
  add_metrics(scored, launcher_.services().metrics);
  if (!scored.error().empty()) return fail(call, scored.status(), scored.error());
  return scored.status();
}

// The deadline and the grace have passed. What has a score keeps it.
grpo_status IsolatedReward::late(Place& place, const Outputs& out, const grpo_call* call,
                                 const grpo_reward_batch* batch, const grpo_reward_result* result, bool cancelled) {
  place.child->end();  // nobody writes into the area any more
  const std::int64_t n = batch->n_samples;
  take_results(out, n, nullptr, call, result);
  const std::string why = launcher_.what().label() + ": " +
                          (cancelled ? "did not stop when it was asked to"
                                     : "did not come back from score by its deadline and " +
                                           seconds_text(launcher_.settings().grace_seconds) + " of grace") +
                          "; its process was killed (" + std::to_string(count_done(out, n)) + " of " +
                          std::to_string(n) + " samples had a score)";
  for (std::int64_t i = 0; i < n; ++i) {
    if (result->status[i] != GRPO_SAMPLE_OK || !std::isnan(result->score[i])) continue;
    result->status[i] = GRPO_SAMPLE_TIMEOUT;
    set_message(call, result, i, why);
  }
  if (cancelled)
    place.child.reset();  // the user's doing
  else
    lost(place, "score: did not come back in time; its process was killed");
  return GRPO_STATUS_OK;
}

// The process of this place is gone, or to be ended.
void IsolatedReward::lost(Place& place, const std::string& how) {
  place.child.reset();
  launcher_.lost(how);
}

}  // namespace grpo::plugins::isolate
