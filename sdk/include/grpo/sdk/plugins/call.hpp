// call.hpp: one call into a plugin: its memory, deadline, cancel flag and error text.
//
// Main idea. A Call is made once and used for many calls in a row; reset takes back the memory in one go and keeps it
// for the next. Everything a plugin may do with a grpo_call works from any of its threads.
//
//     Call call(services);
//     call.need(table->score(handle, call, batch, result), *component, "score");
#ifndef GRPO_SDK_PLUGINS_CALL_HPP
#define GRPO_SDK_PLUGINS_CALL_HPP

#include <grpo/base.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "grpo/sdk/error.hpp"

namespace grpo::plugins {

struct Component;
class ComponentServices;

// A plugin's function did not return GRPO_STATUS_OK. The text names plugin, file and function.
class CallError : public Error {
 public:
  CallError(const std::string& text, grpo_status status) : Error(text), status_(status) {}
  grpo_status status() const { return status_; }
  // Nothing happened; a smaller batch may work.
  bool no_memory() const { return status_ == GRPO_STATUS_NO_MEMORY; }

 private:
  grpo_status status_;
};

const char* status_name(grpo_status status);  // "out of memory"; for an unknown value "unknown status"

class Call {
 public:
  // services: found by the plugin through this call; may be null. Kept alive by the Call.
  explicit Call(std::shared_ptr<const ComponentServices> services = nullptr);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  operator const grpo_call*() const { return &call_; }
  const grpo_call* get() const { return &call_; }

  // Between calls only.
  void set_timeout(std::chrono::nanoseconds from_now);  // deadline = now + from_now
  void set_deadline(std::int64_t monotonic_ns);         // 0: none
  void set_memory_limit(std::int64_t bytes);            // of alloc, since reset; 0: none. Default: 4 GiB
  void on_progress(std::function<void(double done, double total)> callback);  // called on the plugin's threads
  void watch(const std::atomic<bool>* flag);  // cancelled() is also true once *flag is; until reset. null: none
  void reset();  // frees what alloc gave, forgets error, cancel and deadline; keeps limit, progress and services

  // [any thread]
  void cancel() { cancelled_.store(1, std::memory_order_relaxed); }
  bool cancelled() const;  // or past the deadline
  std::string error() const;
  std::int64_t allocated() const;  // bytes that alloc has given since reset

  // Throws CallError "plugin 'math' (rewards/math.so): score: <text> (failed)" unless status is GRPO_STATUS_OK.
  void need(grpo_status status, const Component& who, const char* function) const;
  std::string failure(grpo_status status, const Component& who, const char* function) const;

 private:
  struct Arena;
  grpo_call call_{};
  std::shared_ptr<const ComponentServices> services_;
  std::unique_ptr<Arena> arena_;
  std::atomic<std::int32_t> cancelled_{0};
  const std::atomic<bool>* watched_ = nullptr;
  std::function<void(double, double)> progress_;
  mutable std::mutex error_mutex_;
  std::string error_;
};

std::int64_t monotonic_now_ns();  // the clock of deadlines

// A time limit of a configuration or command line, whose 0 is none. At most a century, which set_timeout takes for
// none; NaN and what is below 0: 0.
std::chrono::nanoseconds duration_of(double seconds);

}  // namespace grpo::plugins

#endif
