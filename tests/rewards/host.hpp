// host.hpp: the smallest host that can run a reward: dlopen, the entry, one table, arrays for a batch.
//
// It fills everything that the contract says a host fills, so that a plugin that reads beside its samples is caught by
// the sanitizers.
#pragma once

#include <grpo/reward.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace rewards_test {

struct Sample {
  std::string completion;
  std::string truth;
  int tokens = 3;
  std::vector<std::int32_t> ids = {};  // instead of `tokens` ones
};

struct Scored {
  double score = NAN;
  int status = GRPO_SAMPLE_OK;
  std::string message;
  nlohmann::json components = nlohmann::json::object();
  bool operator==(const Scored& o) const {
    return (score == o.score || (std::isnan(score) && std::isnan(o.score))) && status == o.status &&
           message == o.message && components == o.components;
  }
};

// An open reward. Opening throws std::runtime_error with the text that the plugin gave.
class Reward {
 public:
  // library: "reward_math"; options as the host would pass them, without defaults: absent keys stay absent. component:
  // its name; empty: "math".
  explicit Reward(const std::string& library, nlohmann::json options = nlohmann::json::object(),
                  const std::string& component = {});
  ~Reward();
  Reward(const Reward&) = delete;
  Reward& operator=(const Reward&) = delete;

  // cancel_after: cancelled() answers 0 that many times, then 1; -1: never.
  std::vector<Scored> score(const std::vector<Sample>& samples, int cancel_after = -1, grpo_status* status = nullptr,
                            bool one_group = false) const;
  // All of one prompt, whose truth is the first one's.
  std::vector<Scored> score_group(const std::vector<Sample>& samples) const;
  Scored score(const std::string& completion, const std::string& truth = "", int tokens = 3) const;

  const grpo_component& component() const { return *component_; }
  const grpo_reward& table() const { return *static_cast<const grpo_reward*>(component_->table); }

 private:
  const grpo_component* component_ = nullptr;
  nlohmann::json options_;
  std::vector<std::unique_ptr<std::string>> texts_;  // [handle]
  void* handle_ = nullptr;

  static int32_t text(const grpo_options* o, const char* key, grpo_str* value);
};

}  // namespace rewards_test
