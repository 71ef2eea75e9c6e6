#include "launcher.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "control.pb.h"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/call.hpp"
#include "loading.hpp"

namespace grpo::plugins::isolate {
namespace {

constexpr std::int64_t slice_ns = 20'000'000;

}  // namespace

std::int64_t nanoseconds(double seconds) { return static_cast<std::int64_t>(std::min(seconds, 1e9) * 1e9); }
std::int64_t from_now(double seconds) { return monotonic_now_ns() + nanoseconds(seconds); }

std::string seconds_text(double seconds) {
  const auto tenths = static_cast<long long>(std::llround(seconds * 10));
  return std::to_string(tenths / 10) + (tenths % 10 ? "." + std::to_string(tenths % 10) : "") + " s";
}

grpo_status fail(const grpo_call* call, grpo_status status, const std::string& text) {
  return call->fail(call, status, text.data(), static_cast<std::int64_t>(text.size()));
}

bool stopped(const grpo_call* call) { return call->cancelled && call->cancelled(call) != 0; }

Launcher::Launcher(std::string program, Component what, const IsolateSettings& settings)
    : program_(std::move(program)), what_(std::move(what)), settings_(settings) {}

void Launcher::set(const grpo_call* call, const grpo_options* options) {
  services_ = HostServices(call);
  options_.assign(options->json.data, static_cast<std::size_t>(options->json.size));
}

std::unique_ptr<Child> Launcher::start() const {
  auto child = std::make_unique<Child>(program_, what_, settings_);
  child->set_services(services_);
  load_answer(*child, settings_);
  return child;
}

grpo_status Launcher::open_in(Child& child, const grpo_call* call, wire::Opened* told) const {
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
  if (told) *told = answer.opened();
  if (answer.opened().status() == GRPO_STATUS_OK) return GRPO_STATUS_OK;
  return fail(call, answer.opened().status(), answer.opened().error());
}

// Starting has a time limit of its own: a short deadline must not end every attempt.
std::unique_ptr<Child> Launcher::restart(const grpo_call* call, std::string& why) {
  if (!wait_for_restart(call, why)) return nullptr;
  Call own;  // the error of an open that fails here is told as part of another
  own.set_memory_limit(1 << 20);
  try {
    auto child = start();
    if (open_in(*child, own) == GRPO_STATUS_OK) return child;
    why = "open: " + own.error();
  } catch (const Error& e) {
    why = e.what();
  }
  lost("when it was started again: " + why);
  why = "could not be started again: " + why;
  return nullptr;
}

// False: it is not to be started again (`why`), or the call is stopped first.
bool Launcher::wait_for_restart(const grpo_call* call, std::string& why) {
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
    std::this_thread::sleep_for(std::chrono::nanoseconds(std::min(left, slice_ns)));
    if (stopped(call)) {
      why = "the call ended before its process was to be started again";
      return false;
    }
  }
}

void Launcher::lost(const std::string& how) {
  std::string line = how;
  {
    std::lock_guard lock(mutex_);
    ++losses_;
    const double pause = losses_ < 2 ? 0
                                     : std::min(settings_.longest_backoff_seconds,
                                                settings_.backoff_seconds * std::pow(2.0, losses_ - 2));
    not_before_ns_ = from_now(pause);
    if (losses_ >= settings_.max_crashes) {
      quarantined_ =
          "is not started again: it was lost " + std::to_string(losses_) + " times in a row, the last time " + how;
      line += "; it was lost " + std::to_string(losses_) + " times in a row and is not started again";
    } else {
      line += "; it will be started again" + (pause > 0 ? " in " + seconds_text(pause) : std::string()) + " (" +
              std::to_string(losses_) + " of " + std::to_string(settings_.max_crashes) + " in a row)";
    }
  }
  services_.write(GRPO_LOG_WARNING, line);
}

void Launcher::went_well() {
  std::lock_guard lock(mutex_);
  losses_ = 0;
}

void Launcher::close(std::unique_ptr<Child> child, std::int64_t until_ns) const {
  wire::ToHost answer;
  const auto got = child->wait(answer, until_ns);
  if (got == Child::Wait::late)
    services_.write(GRPO_LOG_WARNING, "did not come back from close within " + seconds_text(settings_.close_seconds) +
                                          "; its process was killed");
  else if (got == Child::Wait::ended)
    services_.write(GRPO_LOG_WARNING, "close: " + child->how());
}

}  // namespace grpo::plugins::isolate
