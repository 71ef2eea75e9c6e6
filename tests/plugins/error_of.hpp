// error_of.hpp: the text of an error, to be held to what it should say.
#ifndef GRPO_TESTS_PLUGINS_ERROR_OF_HPP
#define GRPO_TESTS_PLUGINS_ERROR_OF_HPP

#include <string>

#include "grpo/sdk/error.hpp"

namespace grpo::plugins {

// The text of the grpo::Error that f throws.
template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

}  // namespace grpo::plugins

#endif
