// budget.hpp: what one rendering has used so far, so that a hostile template ends in an error and never in a hang, in
// exhausted memory or in an overflowing stack.
#ifndef GRPO_TEXT_TEMPLATE_BUDGET_HPP
#define GRPO_TEXT_TEMPLATE_BUDGET_HPP

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "grpo/sdk/text/template.hpp"

namespace grpo::text::jinja {

/// What went wrong, without name and line: Template adds those.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// How deep lists within lists may get: destructors and printers recurse.
inline constexpr std::uint32_t max_value_depth = 500;

class Budget {
 public:
  explicit Budget(const TemplateLimits& limits) : limits_(limits), stack_top_(stack_position()) {}

  void step(std::size_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.steps)
      throw Failure("the template did not end within " + std::to_string(limits_.steps) + " steps");
  }

  /// About to build `bytes` of text or list. Counts work too: a copy takes time.
  void build(std::size_t bytes) {
    bytes_ += bytes;
    if (bytes > limits_.bytes || bytes_ > limits_.bytes) {
      throw Failure("the template built more than " + std::to_string(limits_.bytes) + " bytes of text and lists");
    }
    step(bytes / 256);
  }

  /// Called wherever functions recurse. Measures the stack itself: frames differ in size between builds.
  void check_stack() const {
    const std::uintptr_t here = stack_position();
    const std::uintptr_t used = here < stack_top_ ? stack_top_ - here : here - stack_top_;
    if (used > max_stack_bytes) throw Failure("recursion is too deep");
  }

  const TemplateLimits& limits() const { return limits_; }

 private:
  static constexpr std::uintptr_t max_stack_bytes = 2u << 20;  // a thread has 8 MB unless told otherwise
  static std::uintptr_t stack_position() { return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)); }

  TemplateLimits limits_;
  std::uintptr_t stack_top_;
  std::size_t steps_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace grpo::text::jinja

#endif
