// errors.hpp: errors that know their status.
#ifndef GRPO_TRANSFORMER_ERRORS_HPP
#define GRPO_TRANSFORMER_ERRORS_HPP

#include <grpo/author.hpp>
#include <string>

namespace grpo::transformer {

using Refusal = grpo::failure;

inline void require(bool condition, const std::string& text) {
  if (!condition) throw Refusal(GRPO_STATUS_INVALID, text);
}

}  // namespace grpo::transformer

#endif
