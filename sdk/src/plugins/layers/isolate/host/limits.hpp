// limits.hpp: what a process that runs a plugin may use.
#ifndef GRPO_PLUGINS_ISOLATE_LIMITS_HPP
#define GRPO_PLUGINS_ISOLATE_LIMITS_HPP

#include <cstdint>
#include <string>

namespace grpo::plugins::isolate {

struct Limits {
  std::int64_t memory = 0;     // bytes of writable memory of its own; 0: no limit
  std::int64_t processes = 0;  // that it may start
};

// Applies them to this process, for good. Returns what this system does not offer; empty: everything is in force.
std::string restrict_this_process(const Limits& limits);

}  // namespace grpo::plugins::isolate

#endif
