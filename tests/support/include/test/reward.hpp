// reward.hpp: one reward of this build, opened as the host opens it, with its log kept.
#ifndef GRPO_TEST_REWARD_HPP
#define GRPO_TEST_REWARD_HPP

#include <atomic>
#include <chrono>
#include <deque>
#include <grpo/sdk/error.hpp>
#include <grpo/sdk/plugins/registry.hpp>
#include <grpo/sdk/plugins/reward.hpp>
#include <grpo/sdk/plugins/services.hpp>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace grpo_test {

using nlohmann::json;
namespace plugins = grpo::plugins;

// A row with one completion or several.
struct Row {
  json columns = json::object();
  std::vector<std::string> completions;
  std::string prompt = "p", messages, truth;
  std::vector<std::vector<std::int32_t>> ids;  // of the completions; empty: nobody told them
};

// The batch keeps columns by reference to nothing: rows may go after this.
inline plugins::RewardBatch batch_of(const std::vector<Row>& rows, std::int64_t step = 1) {
  plugins::RewardBatch batch(step);
  for (const Row& row : rows) {
    const auto at = batch.add_row({.prompt = row.prompt,
                                   .messages = row.messages,
                                   .ground_truth = row.truth,
                                   .prompt_ids = {},
                                   .columns = &row.columns});
    for (std::size_t i = 0; i < row.completions.size(); ++i)
      batch.add_sample(
          {.row = at,
           .index = static_cast<std::int64_t>(i),
           .completion = row.completions[i],
           .finish = GRPO_FINISH_STOP,
           .ids = i < row.ids.size() ? std::span<const std::int32_t>(row.ids[i]) : std::span<const std::int32_t>()});
  }
  return batch;
}

class OpenReward {
 public:
  OpenReward(const std::string& name, const json& options) {
    plugins::ServiceSettings settings;
    settings.log_level = GRPO_LOG_DEBUG;
    settings.log = [this](std::int32_t, const std::string&, const std::string& line) {
      std::lock_guard lock(mutex_);
      log_ += line + "\n";
    };
    services_ = std::make_shared<plugins::Services>(settings);
    plugins::RegistrySettings how;
    how.isolate_first_load = false;
    registry_ = std::make_unique<plugins::Registry>(how);
    registry_->add_file(std::string(GRPO_PLUGIN_DIR "/reward_") + name + ".so");
    reward_ = std::make_unique<plugins::Reward>(
        *registry_, name, options,
        plugins::OpenSettings{.services = services_, .where = "", .label = "", .progress = nullptr});
  }
  plugins::RewardScores score(const std::vector<Row>& rows, double timeout = 0,
                              const std::atomic<bool>* cancel = nullptr) {
    return reward_->score(
        batch_of(rows),
        {.timeout = std::chrono::nanoseconds(static_cast<std::int64_t>(timeout * 1e9)), .cancel = cancel});
  }
  std::string log() {
    std::lock_guard lock(mutex_);
    return log_;
  }

 private:
  std::mutex mutex_;
  std::string log_;
  std::shared_ptr<plugins::Services> services_;
  std::unique_ptr<plugins::Registry> registry_;
  std::unique_ptr<plugins::Reward> reward_;
};

// The text of what opening throws; empty: it opens.
inline std::string refusal(const std::string& name, const json& options) {
  try {
    OpenReward reward(name, options);
    return {};
  } catch (const grpo::Error& e) {
    return e.what();
  }
}

}  // namespace grpo_test

#endif
