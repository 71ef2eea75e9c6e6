// text.hpp: small helpers for names and error texts of this room.
#ifndef GRPO_SRC_ALGORITHM_TEXT_HPP
#define GRPO_SRC_ALGORITHM_TEXT_HPP

#include <cctype>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include "grpo/sdk/error.hpp"

namespace grpo::algorithm {

// Concatenates its arguments and throws.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw Error(text.str());
}

// Lower case, "-" as "_": how names are compared.
inline std::string folded(std::string_view name) {
  std::string out(name);
  for (char& c : out) c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

template <class Value>
using Named = std::pair<std::string_view, Value>;

// The value a name stands for in a table whose aliases follow their main name; `what` opens the error.
template <class Value>
Value find_named(std::string_view what, std::string_view name, std::span<const Named<Value>> table) {
  const std::string key = folded(name);
  for (const auto& [candidate, value] : table) {
    if (candidate == key) return value;
  }
  std::string known;
  for (const auto& [candidate, value] : table) known.append(known.empty() ? "" : ", ").append(candidate);
  fail("unknown ", what, " \"", name, "\"; known: ", known);
}

template <class Value>
std::string_view name_of(Value value, std::span<const Named<Value>> table) {
  for (const auto& [name, candidate] : table) {
    if (candidate == value) return name;
  }
  fail("a value without a name");
}

}  // namespace grpo::algorithm

#endif
