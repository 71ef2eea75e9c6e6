// objective_row.hpp: one objective from JSON to JSON: what `grpo-host objective` does with each line.
//
// A row holds the arrays of one micro batch and TRL's options, so that a loss can be studied, or compared with TRL,
// without a model:
//
//   {"per_token_logps": [[-0.1, -2.0], [-0.5]], "old_per_token_logps": [...], "advantages": [1.0, -1.0],
//    "completion_mask": [[1, 1], [1]], "config": {"loss_type": "dapo", "epsilon_high": 0.28, "beta": 0.04, ...}}
//   -> {"loss": -0.3, "dlogp": [[...], [...]], "dentropy": null, "metrics": {...}}
//
// Arrays, [rows][tokens] unless said otherwise, rows ragged or padded (padding is what the mask leaves out):
//   per_token_logps (logp, logps, logprobs)              required
//   old_per_token_logps (old_logp, ...)                  absent or null: per_token_logps, detached
//   ref_per_token_logps (ref_logp, ...)                  required when beta is not 0
//   sampling_per_token_logps (sampling_logp, ...)        null or a null element: unknown
//   entropies (entropy)                                  required by entropy_coef and top_entropy_quantile
//   completion_mask (mask), tool_mask                    absent: all ones; multiplied
//   advantages [rows] or [rows][tokens]                  or `rewards` [rows] with num_generations and scale_rewards,
//                                                        or `rewards_per_func` [rows][rewards] with reward_weights
//   importance_sampling_ratio (rollout_is_weights)       in place of the one that is_correction computes
//
// Options stand in "config" (or "options", "args") or beside the arrays, under TRL's names and with TRL 1.16's
// defaults. `is_correction` is vllm_importance_sampling_mode, null for off. num_items_in_batch, the masked tokens of
// the generation batch, is by default such that this row is its fair share. Beyond TRL: every objective and every kind
// of advantage (scale_rewards) that the configuration knows, kl_estimator, advantage_epsilon, cispo_min_ratio and
// cispo_max_ratio; of verl's names clip_ratio_c, loss_agg_mode, clip_cov_ratio, clip_cov_lb, clip_cov_ub, kl_cov_ratio,
// ppo_kl_coef, dro_beta, rollout_rs, rollout_rs_threshold.
#ifndef GRPO_SDK_ALGORITHM_OBJECTIVE_ROW_HPP
#define GRPO_SDK_ALGORITHM_OBJECTIVE_ROW_HPP

#include <nlohmann/json_fwd.hpp>

namespace grpo::algorithm {

// {"loss", "dlogp", "dentropy", "metrics"}: shapes as per_token_logps (a flat list is one row); dentropy is null
// without an entropy bonus; metrics have the names of ObjectiveMetrics::values. From rewards also "advantages" [rows].
// Throws grpo::Error naming the key (and row) that is unknown, missing or of the wrong shape. [any thread]
nlohmann::json objective_row(const nlohmann::json& row);

}  // namespace grpo::algorithm

#endif
