// running.hpp: the mark that a call into a plugin leaves on its thread, for crash.hpp.
//
//     const Running mark(component(), "score");
//     table->score(...);
#ifndef GRPO_PLUGINS_RUNNING_HPP
#define GRPO_PLUGINS_RUNNING_HPP

#include <atomic>
#include <string>

#include "grpo/sdk/plugins/registry.hpp"

namespace grpo::plugins {

// Read by a signal handler, of this thread or of another one.
struct RunningCall {
  std::atomic<const Component*> component{nullptr};  // null: none
  std::atomic<const char*> function{nullptr};
  bool known = false;  // to the handler
};
extern constinit thread_local RunningCall running_call;

// The first call of a thread: the handler, if there is one, gets to know the thread and a stack on it.
void know_this_thread() noexcept;

class Running {
 public:
  Running(const Component& who, const char* function) noexcept
      : component_(running_call.component.load(std::memory_order_relaxed)),
        function_(running_call.function.load(std::memory_order_relaxed)) {
    if (!running_call.known) [[unlikely]]
      know_this_thread();
    set(&who, function);
  }
  ~Running() { set(component_, function_); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  static void set(const Component* who, const char* function) noexcept {
    running_call.component.store(who, std::memory_order_relaxed);
    running_call.function.store(function, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  const Component* component_;  // of the call around this one: a sampler's, whose completion a reward scores
  const char* function_;
};

// Where a library's code lies, so that an instruction's owner is known. path: of a library that was loaded; kept.
void remember_code(const std::string& path, const void* inside);

}  // namespace grpo::plugins

#endif
