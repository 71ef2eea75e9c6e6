// fault.hpp: pages that were taken away, and the handler that gives them back to whoever touches them all the same.
#ifndef GRPO_PLUGINS_CHECK_FAULT_HPP
#define GRPO_PLUGINS_CHECK_FAULT_HPP

#include <atomic>
#include <cstddef>

namespace grpo::plugins::check {

// All functions: any thread. An entry is a place in a list that the handler may read at any moment.
struct Fault {
  static constexpr std::size_t none = static_cast<std::size_t>(-1);  // the list is full: not watched, only poisoned

  static void install();  // the first time; later calls do nothing
  // *touched becomes true when the pages are touched while they are away.
  static std::size_t watch(void* base, std::size_t size, std::atomic<bool>* touched);
  static void forget(std::size_t entry);
  static void take_away(std::size_t entry);
  static void give_back(std::size_t entry);
};

}  // namespace grpo::plugins::check

#endif
