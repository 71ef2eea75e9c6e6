// fakes.hpp: a registry over the fake plugins.
#ifndef GRPO_TESTS_PLUGINS_FAKES_HPP
#define GRPO_TESTS_PLUGINS_FAKES_HPP

#include <string>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/registry.hpp"

namespace grpo::plugins {

inline Registry fakes() {
  RegistrySettings settings;
  settings.probe_cache.clear();  // a test remembers nothing between runs
  Registry registry(settings);
  registry.add_directory(FAKES);
  return registry;
}

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
