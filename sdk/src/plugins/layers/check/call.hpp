// call.hpp: the grpo_call that a checked plugin gets.
//
// Main idea. It asks the caller's own call for everything, and knows whether the function that it was made for still
// runs. It stays where it is for many calls more, so that a plugin which kept it is told, and not crashed.
#ifndef GRPO_PLUGINS_CHECK_CALL_HPP
#define GRPO_PLUGINS_CHECK_CALL_HPP

#include <grpo/base.h>

#include <atomic>
#include <mutex>
#include <string>

#include "scratch.hpp"

namespace grpo::plugins::check {

class Opened;

struct CallState {
  explicit CallState(Opened& owner);

  void begin(const grpo_call* outer, const char* function);
  void end();  // the plugin has returned: its memory goes

  // The text that the plugin gave to fail; empty: none.
  std::string said();
  // Was it told to stop, or is the deadline over?
  bool asked_to_stop() const;

  Opened& owner;
  Scratch scratch;
  grpo_call table{};
  const grpo_call* outer = nullptr;
  const char* function = "";
  std::atomic<bool> live{false};

 private:
  static CallState& self(const grpo_call* call) { return *static_cast<CallState*>(call->host); }
  bool stale(const char* what);  // true, and told, if the function has returned
  void* alloc(std::int64_t size);
  grpo_status fail(grpo_status status, const char* text, std::int64_t size);
  void progress(double done, double total);
  const void* service(const char* id);

  std::mutex mutex_;
  std::string said_;
};

}  // namespace grpo::plugins::check

#endif
