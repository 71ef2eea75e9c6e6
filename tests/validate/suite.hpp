// suite.hpp: running the suite in tests.
#ifndef GRPO_TESTS_VALIDATE_SUITE_HPP
#define GRPO_TESTS_VALIDATE_SUITE_HPP

#include <atomic>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/validate.hpp"

namespace grpo::plugins {

inline std::string broken(const std::string& name) { return std::string(BROKEN) + "/validate_" + name + ".so"; }

inline ValidateSettings settings(std::vector<std::string> only = {}) {
  ValidateSettings out;
  out.helper = HELPER;
  out.only = std::move(only);
  return out;
}

// The option that a wrapper of this kind needs: a sound component of the kind.
inline nlohmann::json with_fault(const std::string& kind, const std::string& fault) {
  nlohmann::json out = nlohmann::json::object();
  if (!fault.empty()) out["fault"] = fault;
  if (kind == "sampler") out["inner"] = SOUND "/sampler_local.so";
  if (kind == "optimizer") out["inner"] = SOUND "/optimizer_adamw.so";
  if (kind == "model") out["inner"] = std::string(BROKEN) + "/example_bigram.so";
  return out;
}

// Most of the time of a check is another process's.
inline void side_by_side(std::size_t n, const std::function<void(std::size_t)>& body) {
  std::atomic<std::size_t> next{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      for (std::size_t i; (i = next++) < n;) body(i);
    });
  for (std::thread& t : threads) t.join();
}

}  // namespace grpo::plugins

#endif
