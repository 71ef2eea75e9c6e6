// sizes.hpp: is a struct of the other side as long as its first release? It may lack what was appended since.
#ifndef GRPO_PLUGINS_CHECK_SIZES_HPP
#define GRPO_PLUGINS_CHECK_SIZES_HPP

#include "released_sizes.hpp"

namespace grpo::plugins::check {

template <class T>
bool too_short(const T* s) {
  return s->struct_size < released_size<T>;
}

}  // namespace grpo::plugins::check

#endif
