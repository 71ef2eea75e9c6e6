// reward.hpp (host side): a batch of completions, a reward plugin, and its scores.
//
// Main idea. RewardBatch collects rows and samples and owns all their text. Reward::score gives a status and, where
// that is OK, a finite number for every sample: what a plugin gets wrong (a score left NaN, an unknown status) becomes
// an error of that sample with a message, never a number.
//
//     RewardBatch batch(step);
//     const auto row = batch.add_row({.prompt = prompt, .ground_truth = "42", .columns = &record});
//     batch.add_sample({.row = row, .index = 0, .completion = text, .finish = GRPO_FINISH_STOP, .ids = ids});
//     RewardScores scores = reward.score(batch);
#ifndef GRPO_SDK_PLUGINS_REWARD_HPP
#define GRPO_SDK_PLUGINS_REWARD_HPP

#include <grpo/reward.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grpo/sdk/plugins/handle.hpp"

namespace grpo::plugins {

// A record of the dataset. Everything is copied.
struct RewardRow {
  std::string_view prompt = {};    // as the model saw it
  std::string_view messages = {};  // the conversation as JSON text; empty: none
  std::string_view ground_truth = {};
  std::span<const std::int32_t> prompt_ids = {};
  const nlohmann::json* columns = nullptr;  // an object: every column of the record; null: none
};

struct RewardSample {
  std::int64_t row;        // what add_row returned
  std::int64_t index = 0;  // its place in its group
  std::string_view completion = {};
  std::int32_t finish = GRPO_FINISH_STOP;
  std::span<const std::int32_t> ids = {};
};

// Types of dataset columns: GRPO_COLUMN_*. A column keeps its type from batch to batch when the dataset decides it
// once.
using ColumnTypes = std::map<std::string, std::int32_t>;

// The narrowest type that holds both: text stays text, integers stay integers where none is missing, integers and
// numbers (or missing ones) are numbers, all else JSON. Start with 0; a missing value is null.
std::int32_t wider_column_type(std::int32_t type, const nlohmann::json& value);
// The types over a whole dataset; a column that a record lacks is missing there.
ColumnTypes infer_column_types(std::span<const nlohmann::json> records);

class RewardBatch {
 public:
  // step: of training, from 1; 0 outside. types: of the columns; a column not among them gets the type of this batch.
  explicit RewardBatch(std::int64_t step = 0, ColumnTypes types = {});
  ~RewardBatch();
  RewardBatch(RewardBatch&&) noexcept;
  RewardBatch& operator=(RewardBatch&&) noexcept;

  // Bytes that are not UTF-8 become U+FFFD.
  std::int64_t add_row(const RewardRow& row);
  std::int64_t add_sample(const RewardSample& sample);
  std::int64_t rows() const;
  std::int64_t samples() const;

  // The arrays of the contract; valid until something is added. Throws grpo::Error if a column's value does not fit its
  // type (the row and column are named).
  const grpo_reward_batch* get() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct RewardScores {
  std::vector<double> score;                              // [sample] finite where status is OK, else NaN
  std::vector<std::int32_t> status;                       // [sample] GRPO_SAMPLE_*
  std::vector<std::string> message;                       // [sample] why there is no score; for people
  std::map<std::string, std::vector<double>> components;  // [sample] NaN where the plugin said nothing
  std::int64_t count(std::int32_t status) const;
};

struct ScoreSettings {
  std::chrono::nanoseconds timeout{0};        // 0: none
  const std::atomic<bool>* cancel = nullptr;  // looked at whenever the plugin asks cancelled()
};

class Reward final : public Handle {
 public:
  // Throws grpo::Error if there is no such reward, its library is refused, an option is wrong, or open fails.
  Reward(Registry& registry, const std::string& name, const nlohmann::json& options, const OpenSettings& settings = {});
  Reward(std::shared_ptr<const Component> component, const nlohmann::json& options, const OpenSettings& settings = {});
  ~Reward();

  bool concurrent() const;    // score may run from several threads at once; else calls wait for each other
  bool whole_groups() const;  // a batch must hold all samples of each of its rows
  bool whole_batch() const;   // a batch must hold all samples of the step

  // [any thread] The call as a whole failing makes every sample an error with the plugin's text; on a timeout or cancel
  // what has been filled in counts, the rest is GRPO_SAMPLE_TIMEOUT. Does not throw for anything that the plugin does.
  RewardScores score(const RewardBatch& batch, const ScoreSettings& settings = {});

 private:
  std::mutex one_at_a_time_;
};

}  // namespace grpo::plugins

#endif
