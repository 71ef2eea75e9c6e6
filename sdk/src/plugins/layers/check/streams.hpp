// streams.hpp: sinks and sources of named tensors, as a checked plugin gets them. They stay where they are after their
// call, so that a late put is told.
#ifndef GRPO_PLUGINS_CHECK_STREAMS_HPP
#define GRPO_PLUGINS_CHECK_STREAMS_HPP

#include <grpo/tensor.h>

#include <atomic>
#include <set>
#include <string>
#include <thread>

#include "opened.hpp"

namespace grpo::plugins::check {

struct CheckedSink {
  // function: whose sink it is, for messages. any_thread: put may come from other threads than this one.
  CheckedSink(Opened& owner, const char* function, const grpo_tensor_sink& inner, bool any_thread);
  Opened& owner;
  const char* function;
  const grpo_tensor_sink& inner;
  const bool any_thread;
  const std::thread::id thread = std::this_thread::get_id();
  std::set<std::string> names;
  grpo_tensor_sink table{};
  std::atomic<bool> live{true};

 private:
  grpo_status put(const grpo_call* call, std::int64_t n, const grpo_named_tensor* const* tensors);
};

struct CheckedSource {
  CheckedSource(Opened& owner, const grpo_tensor_source& inner);
  Opened& owner;
  const grpo_tensor_source& inner;
  grpo_tensor_source table{};
  std::atomic<bool> live{true};
};

}  // namespace grpo::plugins::check

#endif
