// text.hpp: is a text what the contract asks of it?
#ifndef GRPO_PLUGINS_CHECK_TEXT_HPP
#define GRPO_PLUGINS_CHECK_TEXT_HPP

#include <cstdint>
#include <string>

namespace grpo::plugins::check {

bool is_utf8(const char* text, std::int64_t size);

// For messages: at most 40 bytes of it, in quotes, what is no UTF-8 replaced.
std::string quoted(const char* text, std::int64_t size);

}  // namespace grpo::plugins::check

#endif
