// nesting.hpp: how deep a JSON text is nested, before anything is made of it.
//
// The parser itself takes any depth, but to copy, print or walk what it makes takes a call a level: a text of 300 kB
// that is nothing but '[' would overflow the stack. Texts from outside are asked here first.
#ifndef GRPO_KIT_NESTING_HPP
#define GRPO_KIT_NESTING_HPP

#include <string_view>

namespace grpo::kit {

inline constexpr int deepest_json = 256;

// Whether brackets outside strings are open more than `deepest` levels deep somewhere. One pass; need not be JSON.
inline bool nested_too_deeply(std::string_view json, int deepest = deepest_json) {
  int depth = 0;
  for (std::size_t i = 0; i < json.size(); ++i) {
    switch (json[i]) {
      case '"':
        for (++i; i < json.size() && json[i] != '"'; ++i)
          if (json[i] == '\\') ++i;
        break;
      case '[':
      case '{':
        if (++depth > deepest) return true;
        break;
      case ']':
      case '}':
        --depth;
        break;
      default:
        break;
    }
  }
  return false;
}

}  // namespace grpo::kit

#endif
