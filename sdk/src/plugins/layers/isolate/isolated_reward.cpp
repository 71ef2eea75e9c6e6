#include "isolated_reward.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>

#include "control.pb.h"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/call.hpp"
#include "loading.hpp"
#include "results.hpp"

namespace grpo::plugins::isolate {
namespace {

constexpr std::int64_t slice_ns = 20'000'000;

std::int64_t ns(double seconds) { return static_cast<std::int64_t>(std::min(seconds, 1e9) * 1e9); }
std::int64_t from_now(double seconds) { return monotonic_now_ns() + ns(seconds); }

std::string seconds_text(double seconds) {
  const auto tenths = static_cast<long long>(std::llround(seconds * 10));
  return std::to_string(tenths / 10) + (tenths % 10 ? "." + std::to_string(tenths % 10) : "") + " s";
}

grpo_status fail(const grpo_call* call, grpo_status status, const std::string& text) {
  return call->fail(call, status, text.data(), static_cast<std::int64_t>(text.size()));
}

bool stopped(const grpo_call* call) { return call->cancelled && call->cancelled(call) != 0; }

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
    : program_(std::move(program)), what_(std::move(what)), settings_(settings) {
  for (int i = 0; i < children; ++i) places_.push_back(std::make_unique<Place>());
}

IsolatedReward::~IsolatedReward() {
  wire::ToChild close;
  close.mutable_close();
  for (const auto& place : places_) {
    if (place->child && !place->child->has_ended()) place->child->send(close, from_now(settings_.close_seconds));
  }
  const std::int64_t until = from_now(settings_.close_seconds);
  for (const auto& place : places_) {
    if (!place->child) continue;
    wire::ToHost answer;
    const auto got = place->child->wait(answer, until);
    if (got == Child::Wait::late)
      services_.write(GRPO_LOG_WARNING, "did not come back from close within " + seconds_text(settings_.close_seconds) +
                                            "; its process was killed");
    else if (got == Child::Wait::ended)
      services_.write(GRPO_LOG_WARNING, "close: " + place->child->how());
    place->child.reset();
  }
}

grpo_status IsolatedReward::open(const grpo_call* call, const grpo_options* options, std::unique_ptr<Child> spare) {
  services_ = HostServices(call);
  options_.assign(options->json.data, static_cast<std::size_t>(options->json.size));
  Place& first = *places_.front();
  first.child = spare ? std::move(spare) : start();
  return open_in(*first.child, call);
}

// A process with the library loaded. Throws grpo::Error.
std::unique_ptr<Child> IsolatedReward::start() {
  auto child = std::make_unique<Child>(program_, what_, settings_);
  child->set_services(services_);
  load_answer(*child, settings_);
  return child;
}

grpo_status IsolatedReward::open_in(Child& child, const grpo_call* call) {
  child.set_services(services_);
  wire::ToChild message;
  wire::OpenHandle& m = *message.mutable_open();
  m.set_options(options_);
  m.set_log(services_.log != nullptr);
  if (services_.log) m.set_log_level(services_.log->level);
  m.set_metrics(services_.metrics != nullptr);
  if (const grpo_tokenizer* t = services_.tokenizer) {
    m.set_tokenizer(true);
    m.set_vocabulary(t->vocabulary);
    m.set_bos(t->bos);
    m.set_eos(t->eos);
    m.set_pad(t->pad);
  }
  const std::int64_t until = from_now(settings_.open_seconds);
  child.send(message, until);
  wire::ToHost answer;
  switch (child.wait(answer, until)) {
    case Child::Wait::ended:
      return fail(call, GRPO_STATUS_FAILED, child.how());
    case Child::Wait::late:
      return fail(call, GRPO_STATUS_FAILED,
                  "did not come back within " + seconds_text(settings_.open_seconds) + "; its process was killed");
    case Child::Wait::message:
      break;
  }
  if (!answer.has_opened()) return fail(call, GRPO_STATUS_FAILED, "its process answered something else");
  if (answer.opened().status() == GRPO_STATUS_OK) return GRPO_STATUS_OK;
  return fail(call, answer.opened().status(), answer.opened().error());
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

// A process that is open, started if there is none. Starting has a time limit of its own: a short deadline must not end
// every attempt.
grpo_status IsolatedReward::ready(Place& place, const grpo_call* call) {
  if (place.child) return GRPO_STATUS_OK;
  std::string why;
  if (!wait_for_restart(call, why)) return fail(call, GRPO_STATUS_FAILED, why);
  Call own;  // the error of an open that fails here is told as part of another
  own.set_memory_limit(1 << 20);
  try {
    place.child = start();
    place.area_is_new = place.area.size() > 0;
    if (open_in(*place.child, own) == GRPO_STATUS_OK) return GRPO_STATUS_OK;
    why = "open: " + own.error();
  } catch (const Error& e) {
    why = e.what();
  }
  lost(place, "when it was started again: " + why);
  return fail(call, GRPO_STATUS_FAILED, "could not be started again: " + why);
}

// False: it is not to be started again (`why`), or the call is stopped first.
bool IsolatedReward::wait_for_restart(const grpo_call* call, std::string& why) {
  for (;;) {
    std::int64_t left = 0;
    {
      std::lock_guard lock(mutex_);
      if (!quarantined_.empty()) {
        why = quarantined_;
        return false;
      }
      left = not_before_ns_ - monotonic_now_ns();
    }
    if (left <= 0) return true;
    // The deadline may be shorter than the pause; what is wanted here is to be stopped by the user.
    std::this_thread::sleep_for(std::chrono::nanoseconds(std::min(left, slice_ns)));
    if (stopped(call)) {
      why = "the call ended before its process was to be started again";
      return false;
    }
  }
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
  std::int64_t until = call->deadline_ns == 0 ? 0 : call->deadline_ns + ns(settings_.grace_seconds);
  place.child->send(message, until, place.area_is_new ? place.area.fd() : -1);
  place.area_is_new = false;
  wire::ToHost answer;
  bool cancelled = false;
  const auto got = [&] {
    for (;;) {
      const std::int64_t next_look = monotonic_now_ns() + slice_ns * 5 / 2;
      const auto w = place.child->wait(answer, until == 0 ? next_look : std::min(until, next_look));
      if (w != Child::Wait::late) return w;
      const std::int64_t now = monotonic_now_ns();
      if (until != 0 && now >= until) return w;
      if (!cancelled && stopped(call)) {
        cancelled = call->deadline_ns == 0 || now < call->deadline_ns;
        place.area.cancelled().store(true, std::memory_order_relaxed);
        if (cancelled) until = now + ns(settings_.grace_seconds);
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
  {
    std::lock_guard lock(mutex_);
    crashes_ = 0;
  }
  const wire::Scored& scored = answer.scored();
  take_results(out, batch->n_samples, &scored, call, result);
  add_metrics(scored, services_.metrics);
  if (!scored.error().empty()) return fail(call, scored.status(), scored.error());
  return scored.status();
}

// The deadline and the grace have passed. What has a score keeps it.
grpo_status IsolatedReward::late(Place& place, const Outputs& out, const grpo_call* call,
                                 const grpo_reward_batch* batch, const grpo_reward_result* result, bool cancelled) {
  place.child->end();  // nobody writes into the area any more
  const std::int64_t n = batch->n_samples;
  take_results(out, n, nullptr, call, result);
  const std::string why = what_.label() + ": " +
                          (cancelled ? "did not stop when it was asked to"
                                     : "did not come back from score by its deadline and " +
                                           seconds_text(settings_.grace_seconds) + " of grace") +
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

// The process of this place is gone, or to be ended. The first restart is at once, then the pauses grow.
void IsolatedReward::lost(Place& place, const std::string& how) {
  place.child.reset();
  std::string line;
  {
    std::lock_guard lock(mutex_);
    ++crashes_;
    const double pause = crashes_ < 2 ? 0
                                      : std::min(settings_.longest_backoff_seconds,
                                                 settings_.backoff_seconds * std::pow(2.0, crashes_ - 2));
    not_before_ns_ = from_now(pause);
    line = how;
    if (crashes_ >= settings_.max_crashes) {
      quarantined_ =
          "is not started again: it was lost " + std::to_string(crashes_) + " times in a row, the last time " + how;
      line += "; it was lost " + std::to_string(crashes_) + " times in a row and is not started again";
    } else {
      line += "; it will be started again" + (pause > 0 ? " in " + seconds_text(pause) : std::string()) + " (" +
              std::to_string(crashes_) + " of " + std::to_string(settings_.max_crashes) + " in a row)";
    }
  }
  services_.write(GRPO_LOG_WARNING, line);
}

}  // namespace grpo::plugins::isolate
