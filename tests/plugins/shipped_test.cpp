// The plugins of this tree keep the contract, as far as a loader can tell.
#include <gtest/gtest.h>

#include "fakes.hpp"
#include "line.hpp"

namespace grpo::plugins {
namespace {

TEST(Shipped, EveryPluginLoads) {
  RegistrySettings settings;
  settings.probe_cache.clear();
  Registry registry(settings);
  registry.add_directory(GRPO_PLUGIN_DIR);
  for (const Refusal& r : registry.refusals()) ADD_FAILURE() << r.path << ": " << r.reason;
  EXPECT_GE(registry.manifests().size(), static_cast<std::size_t>(SHIPPED_COUNT));
  int loaded = 0;
  for (const Manifest& m : registry.manifests()) {
    EXPECT_NE(describe(m).find(m.name), std::string::npos);
    for (const ComponentManifest& c : m.components) {
      EXPECT_NO_THROW(registry.load(c.interface_id, c.name)) << m.path;
      ++loaded;
    }
  }
  EXPECT_GE(loaded, SHIPPED_COUNT);
}

TEST(Shipped, SamplerAndOptimizerLearnOnTheFakeModel) {
  Registry registry = fakes();
  registry.add_directory(GRPO_PLUGIN_DIR);
  expect_learning(registry, "local", "adamw");
}

}  // namespace
}  // namespace grpo::plugins
