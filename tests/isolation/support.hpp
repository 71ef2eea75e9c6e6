// support.hpp: isolated rewards over the plugins of this folder.
#ifndef GRPO_TESTS_ISOLATION_SUPPORT_HPP
#define GRPO_TESTS_ISOLATION_SUPPORT_HPP

#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "error_of.hpp"
#include "grpo/sdk/plugins/isolated.hpp"
#include "grpo/sdk/plugins/reward.hpp"
#include "grpo/sdk/plugins/services.hpp"

namespace grpo::plugins {

inline Registry isolation_registry() {
  RegistrySettings settings;
  settings.probe_cache.clear();
  Registry registry(settings);
  registry.add_directory(ISOLATION_PLUGINS);
  return registry;
}

// Times that fit a test: nothing here waits longer than it must.
inline IsolateSettings quick() {
  IsolateSettings settings;
  settings.grace_seconds = 0.3;
  settings.close_seconds = 2;
  settings.backoff_seconds = 0.01;
  return settings;
}

// What went into the log, over all threads.
struct Log {
  std::mutex mutex;
  std::vector<std::string> lines;
  std::shared_ptr<Services> services(std::shared_ptr<const TokenizerService> tokenizer = nullptr) {
    ServiceSettings settings;
    settings.log = [this](std::int32_t, const std::string& who, const std::string& line) {
      std::lock_guard lock(mutex);
      lines.push_back(who + ": " + line);
    };
    settings.tokenizer = std::move(tokenizer);
    return std::make_shared<Services>(std::move(settings));
  }
  std::string text() {
    std::lock_guard lock(mutex);
    std::string out;
    for (const std::string& line : lines) out += line + "\n";
    return out;
  }
};

inline RewardBatch batch_of(const std::vector<std::string>& completions) {
  RewardBatch batch;
  const auto row = batch.add_row({.prompt = "p"});
  for (const std::string& text : completions) batch.add_sample({.row = row, .completion = text});
  return batch;
}

}  // namespace grpo::plugins

#endif
