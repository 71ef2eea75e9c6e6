// released.hpp: how large a [grows] struct must be at least, and a copy of one that may be shorter or longer than ours.
#ifndef GRPO_PLUGINS_CHECK_RELEASED_HPP
#define GRPO_PLUGINS_CHECK_RELEASED_HPP

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "released_sizes.hpp"

namespace grpo::plugins::check {

// Shorter than its oldest maker made it. sizeof is no measure: it grows with the headers.
template <class T>
bool too_short(const T* p) {
  static_assert(released_size<T> > 0, "it has no struct_size, or is not in the record");
  static_assert(released_size<T> <= sizeof(T));
  return p->struct_size < released_size<T>;
}

// As far as the other side has it; what only we have is 0.
template <class T>
T copy_of(const T& from) {
  static_assert(std::is_trivially_copyable_v<T> && released_size<T> > 0);
  T own{};
  std::memcpy(&own, &from, std::min<std::size_t>(from.struct_size, sizeof own));
  return own;
}

}  // namespace grpo::plugins::check

#endif
