#include "text.hpp"

#include <algorithm>
#include <cstring>

#include "utf8.hpp"

namespace grpo::plugins::check {

bool is_utf8(const char* text, std::int64_t size) {
  std::int64_t i = 0;
  for (std::uint64_t eight; i + 8 <= size; i += 8) {  // most text is ASCII
    std::memcpy(&eight, text + i, 8);
    if (eight & 0x8080808080808080u) break;
  }
  while (i < size && static_cast<unsigned char>(text[i]) < 0x80) ++i;
  const std::string_view rest(text + i, static_cast<std::size_t>(size - i));
  return rest.empty() || valid_utf8(rest) == rest;
}

std::string quoted(const char* text, std::int64_t size) {
  const auto n = static_cast<std::size_t>(std::clamp<std::int64_t>(size, 0, 40));
  return "'" + valid_utf8({text, n}) + (size > 40 ? "...'" : "'");
}

}  // namespace grpo::plugins::check
