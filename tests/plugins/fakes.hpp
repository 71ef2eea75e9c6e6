// fakes.hpp: a registry over the fake plugins.
#ifndef GRPO_TESTS_PLUGINS_FAKES_HPP
#define GRPO_TESTS_PLUGINS_FAKES_HPP

#include <string>

#include "error_of.hpp"
#include "grpo/sdk/plugins/registry.hpp"

namespace grpo::plugins {

inline Registry fakes() {
  RegistrySettings settings;
  settings.probe_cache.clear();  // a test remembers nothing between runs
  Registry registry(settings);
  registry.add_directory(FAKES);
  return registry;
}

}  // namespace grpo::plugins

#endif
