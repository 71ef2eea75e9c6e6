// scored.hpp: the arrays that a reward fills, when nobody but a recording wants to know, and what is wrong with them.
#ifndef GRPO_PLUGINS_RECORD_SCORED_HPP
#define GRPO_PLUGINS_RECORD_SCORED_HPP

#include <grpo/reward.h>

#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "wire/wire.hpp"

namespace grpo::plugins::record {

class Scored {
 public:
  explicit Scored(std::int64_t n)
      : score_(static_cast<std::size_t>(n), std::numeric_limits<double>::quiet_NaN()),
        status_(score_.size(), GRPO_SAMPLE_OK),
        message_(score_.size(), grpo_str{"", 0}) {
    score_.reserve(1), status_.reserve(1), message_.reserve(1);  // no array is NULL
    table_.struct_size = sizeof table_;
    table_.host = this;
    table_.score = score_.data();
    table_.status = status_.data();
    table_.message = message_.data();
    table_.component = [](const grpo_reward_result* r, const char* name) noexcept -> double* {
      auto& self = *static_cast<Scored*>(r->host);
      if (!name || !*name) return nullptr;
      try {
        const std::lock_guard lock(self.mutex_);
        if (self.columns_.size() >= most_components && !self.columns_.contains(name)) return nullptr;
        auto& column =
            self.columns_.try_emplace(name, self.score_.size(), std::numeric_limits<double>::quiet_NaN()).first->second;
        column.reserve(1);
        return column.data();
      } catch (...) {
        return nullptr;
      }
    };
  }
  Scored(const Scored&) = delete;
  Scored& operator=(const Scored&) = delete;
  const grpo_reward_result* get() const { return &table_; }
  // Before the memory of the call goes: messages lie there.
  void write(wire::RewardResult& out) const {
    wire::RewardArrays arrays{
        static_cast<std::int64_t>(score_.size()), score_.data(), status_.data(), message_.data(), {}};
    for (const auto& [name, values] : columns_) arrays.components[name] = values.data();
    wire::write(arrays, out);
  }

 private:
  static constexpr std::size_t most_components = 64;  // as the host allows
  std::vector<double> score_;
  std::vector<std::int32_t> status_;
  std::vector<grpo_str> message_;
  std::map<std::string, std::vector<double>> columns_;
  std::mutex mutex_;
  grpo_reward_result table_{};
};

// A sample that a reward left in a way that the contract does not allow, in a call that went well.
struct Flaw {
  std::int64_t sample;
  std::string rule, got;
};
inline std::vector<Flaw> flaws_of(const wire::RewardResult& result) {
  std::vector<Flaw> out;
  for (int i = 0; i < result.score_size(); ++i) {
    const std::int32_t status = result.status(i);
    if (status < GRPO_SAMPLE_OK || status > GRPO_SAMPLE_TIMEOUT)
      out.push_back({i, "a sample has an unknown status", std::to_string(status)});
    else if (status == GRPO_SAMPLE_OK && !std::isfinite(result.score(i)))
      out.push_back({i, "a sample that is ok has no finite score", std::isnan(result.score(i)) ? "NaN" : "infinite"});
  }
  return out;
}

}  // namespace grpo::plugins::record

#endif
