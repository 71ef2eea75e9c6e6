// objective_row_parts.hpp: the two halves of a row of the `objective` filter, arrays and options, read from JSON.
#ifndef GRPO_SRC_ALGORITHM_OBJECTIVE_ROW_PARTS_HPP
#define GRPO_SRC_ALGORITHM_OBJECTIVE_ROW_PARTS_HPP

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "grpo/sdk/algorithm/advantages.hpp"
#include "grpo/sdk/algorithm/objective.hpp"
#include "grpo/sdk/algorithm/rejection.hpp"
#include "grpo/sdk/algorithm/weights.hpp"

namespace grpo::algorithm {

// TRL's options, resolved: defaults are those of TRL 1.16.
struct RowOptions {
  std::string loss_type = "dapo";
  ObjectiveOptions objective;
  double top_entropy_quantile = 1;              // rho: the share of tokens that trains
  std::optional<RolloutCorrection> correction;  // none: off
  std::optional<double> correction_min, correction_max = 3.0;
  std::optional<double> off_policy_threshold;
  std::vector<RejectionCriterion> rejection;
  double accumulation = 1;  // gradient accumulation steps
  double steps_per_generation = 1;
  double processes = 1;
  double max_completion_length = 512;
  AdvantageKind scale_rewards = AdvantageKind::group;
  double advantage_epsilon = 1e-4;
  std::vector<double> reward_weights;  // empty: ones
  std::optional<int64_t> group_size;   // num_generations
  std::optional<double> num_items;     // num_items_in_batch: masked tokens of the whole generation batch
};

struct RowArrays {
  bool single = false;  // logprobs given as one flat list: one completion, answered in the same shape
  std::vector<int64_t> start;
  std::vector<double> logprob, old_logprob, reference_logprob, sampled_logprob, entropy;  // empty: not given
  std::vector<uint8_t> mask;                               // never empty but for no token
  std::vector<double> advantage, token_advantage, reward;  // those given
  std::vector<double> scores;                              // rewards_per_func [rows x n_scores]
  size_t n_scores = 0;
  std::vector<double> importance_ratio;  // [tokens], as given

  size_t rows() const { return start.size() - 1; }
};

// Both throw grpo::Error naming the key. Between them they know every key of a row; check_keys refuses the others.
RowOptions read_options(const nlohmann::json& row);
RowArrays read_arrays(const nlohmann::json& row);
bool is_option_key(const std::string& key);
bool is_array_key(const std::string& key);

// Values flat over all tokens, back in the shape of the row's log-probabilities.
nlohmann::json in_shape(const RowArrays& arrays, const std::vector<double>& values);

}  // namespace grpo::algorithm

#endif
