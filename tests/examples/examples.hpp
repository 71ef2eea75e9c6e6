// examples.hpp: a registry over the examples, as build.sh made them.
#ifndef GRPO_TESTS_EXAMPLES_HPP
#define GRPO_TESTS_EXAMPLES_HPP

#include "grpo/sdk/plugins/registry.hpp"

namespace grpo::plugins {

inline Registry examples() {
  RegistrySettings settings;
  settings.probe_cache.clear();
  Registry registry(settings);
  registry.add_directory(EXAMPLES);
  return registry;
}

}  // namespace grpo::plugins

#endif
