// errors.hpp: errors that know their status; the boundary (plugin.cpp) turns them into the contract's.
#ifndef GRPO_TRANSFORMER_ERRORS_HPP
#define GRPO_TRANSFORMER_ERRORS_HPP

#include <grpo/base.h>

#include <stdexcept>
#include <string>

namespace grpo::transformer {

class Refusal : public std::runtime_error {
 public:
  Refusal(grpo_status status, const std::string& text) : std::runtime_error(text), status_(status) {}
  grpo_status status() const { return status_; }

 private:
  grpo_status status_;
};

inline void require(bool condition, const std::string& text) {
  if (!condition) throw Refusal(GRPO_STATUS_INVALID, text);
}

}  // namespace grpo::transformer

#endif
