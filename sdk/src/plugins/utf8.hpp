// utf8.hpp: text of unknown origin made valid.
#ifndef GRPO_PLUGINS_UTF8_HPP
#define GRPO_PLUGINS_UTF8_HPP

#include <string>
#include <string_view>

namespace grpo::plugins {

// Bytes that are not UTF-8 replaced by U+FFFD, one for each maximal part of a sequence, as the Unicode standard advises
// (3.9, "substitution of maximal subparts") and Python's errors="replace" does.
std::string valid_utf8(std::string_view text);

// The last `most` bytes of what a program wrote, valid, on one line: control characters are spaces, none at the ends.
std::string one_line(std::string_view text, std::size_t most = std::string_view::npos);

}  // namespace grpo::plugins

#endif
