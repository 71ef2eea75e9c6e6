#include "grpo/sdk/algorithm/objective_row.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "objective_row_parts.hpp"
#include "text.hpp"

namespace grpo::algorithm {

namespace {

// Keys that say something about the row and nothing to the objective.
constexpr std::array<std::string_view, 12> annotations = {
    "id", "name", "comment", "description", "case", "index", "note", "seed", "expected", "loss", "dlogp", "dentropy"};

void check_keys(const nlohmann::json& row) {
  if (!row.is_object()) fail("objective: a row must be a JSON object, this one is ", row.type_name());
  for (const auto& [key, value] : row.items()) {
    const bool annotation =
        key.starts_with('_') || std::find(annotations.begin(), annotations.end(), key) != annotations.end();
    if (!annotation && !is_option_key(key) && !is_array_key(key)) {
      fail("objective: unknown key \"", key,
           "\" (arrays are named as per_token_logps or logp, options as in TRL; a key "
           "that begins with _ is left alone)");
    }
  }
}

// The sum of each row's rewards; NaN where none applies.
std::vector<double> weighted_sums(const RowArrays& arrays, const std::vector<double>& weights) {
  if (arrays.n_scores == 0) return {};
  if (weights.size() != arrays.n_scores)
    fail("objective: \"reward_weights\" has ", weights.size(), " numbers for ", arrays.n_scores, " rewards");
  std::vector<double> sums(arrays.rows(), std::numeric_limits<double>::quiet_NaN());
  for (size_t i = 0; i < sums.size(); ++i) {
    for (size_t k = 0; k < arrays.n_scores; ++k) {
      const double score = arrays.scores[i * arrays.n_scores + k];
      if (!std::isnan(score)) sums[i] = (std::isnan(sums[i]) ? 0 : sums[i]) + weights[k] * score;
    }
  }
  return sums;
}

std::vector<double> kept_by_row(const RowArrays& arrays) {
  std::vector<double> kept(arrays.rows(), 0.0);
  for (size_t i = 0; i < kept.size(); ++i) {
    for (auto t = static_cast<size_t>(arrays.start[i]); t < static_cast<size_t>(arrays.start[i + 1]); ++t)
      kept[i] += arrays.mask[t] != 0;
  }
  return kept;
}

// The advantages that the row gives, or those its rewards make.
void complete_advantages(const RowOptions& options, RowArrays& arrays) {
  if (!arrays.advantage.empty() || !arrays.token_advantage.empty() || arrays.rows() == 0) return;
  std::vector<double> weights = options.reward_weights;
  if (weights.empty()) weights.assign(arrays.n_scores, 1);
  if (arrays.reward.empty()) arrays.reward = weighted_sums(arrays, weights);
  if (arrays.reward.empty()) fail("objective: \"advantages\" is missing (or give \"rewards\" and \"num_generations\")");
  if (!options.group_size) fail("objective: \"num_generations\" is missing: it says which rewards form a group");
  const auto size = *options.group_size;
  const auto rows = static_cast<int64_t>(arrays.rows());
  if (size < 1 || rows % size != 0)
    fail("objective: \"num_generations\" is ", size, ", but there are ", rows, " rewards");
  std::vector<int64_t> groups;
  for (int64_t at = 0; at <= rows; at += size) groups.push_back(at);
  const auto tokens = kept_by_row(arrays);
  arrays.advantage = advantages(options.scale_rewards, {.rewards = arrays.reward,
                                                        .group_start = groups,
                                                        .epsilon = options.advantage_epsilon,
                                                        .tokens = tokens,
                                                        .scores = arrays.scores,
                                                        .weights = weights});
}

// What the weights are computed from: "equal to logprob" written out.
const std::vector<double>& old_of(const RowArrays& arrays) {
  return arrays.old_logprob.empty() ? arrays.logprob : arrays.old_logprob;
}

double count(const std::vector<uint8_t>& mask) {
  return static_cast<double>(std::count_if(mask.begin(), mask.end(), [](uint8_t m) { return m != 0; }));
}

// TRL scales every micro batch for accumulation; its normalisers are these numbers of ours.
Normalizer normalizer_of(const RowOptions& options, const RowArrays& arrays, double entropy_tokens) {
  const double local = std::max(count(arrays.mask), 1.0) * options.accumulation;
  Normalizer out;
  out.rows = static_cast<double>(arrays.rows()) * options.accumulation;
  out.tokens = local;
  out.max_completion_length = options.max_completion_length;
  out.entropy_tokens = std::max(entropy_tokens, 1.0) * options.accumulation;
  const bool of_generation_batch = options.loss_type != "bnpo" && options.num_items;
  if (of_generation_batch) {
    out.tokens =
        std::max(*options.num_items, 1.0) / options.processes * options.accumulation / options.steps_per_generation;
  }
  return out;
}

// Factors on the policy term, multiplied.
class Weights {
 public:
  // sampled_mask: the mask before any token was rejected, which the correction of the rollout is made with.
  Weights(const RowOptions& options, const RowArrays& arrays, const std::vector<uint8_t>& sampled_mask)
      : values_(arrays.mask.size(), 1.0) {
    if (options.off_policy_threshold) {
      if (!arrays.token_advantage.empty()) fail("objective: \"off_policy_mask_threshold\" needs one advantage a row");
      const auto& sampled = arrays.sampled_logprob.empty() ? old_of(arrays) : arrays.sampled_logprob;
      multiply(off_policy_mask(*options.off_policy_threshold, arrays.start, arrays.logprob, sampled, arrays.advantage,
                               arrays.mask));
    }
    if (options.top_entropy_quantile < 1) {
      if (arrays.entropy.empty()) fail("objective: \"top_entropy_quantile\" needs \"entropies\"");
      const double threshold = entropy_quantile(arrays.entropy, arrays.mask, 1 - options.top_entropy_quantile);
      entropy_mask_ = top_entropy_mask(arrays.entropy, arrays.mask, threshold);
      multiply(entropy_mask_);
    }
    apply_correction(options, arrays, sampled_mask);
  }

  const std::vector<double>& values() const { return values_; }
  const std::vector<uint8_t>& entropy_mask() const { return entropy_mask_; }
  const std::vector<double>& importance_ratio() const { return importance_ratio_; }

 private:
  template <class Factors>
  void multiply(const Factors& factors) {
    for (size_t t = 0; t < values_.size(); ++t) values_[t] *= static_cast<double>(factors[t]);
  }

  void apply_correction(const RowOptions& options, const RowArrays& arrays, const std::vector<uint8_t>& sampled_mask) {
    std::vector<double> ratio = arrays.importance_ratio;
    if (ratio.empty() && options.correction && !arrays.sampled_logprob.empty()) {
      ratio = rollout_ratio(*options.correction, options.correction_min, options.correction_max, arrays.start,
                            old_of(arrays), arrays.sampled_logprob, sampled_mask);
    }
    if (ratio.empty()) return;
    // VESPO takes the correction into its sequence weight instead.
    if (options.objective.term == PolicyTerm::vespo) {
      importance_ratio_ = ratio;
    } else {
      multiply(ratio);
    }
  }

  std::vector<double> values_;
  std::vector<uint8_t> entropy_mask_;
  std::vector<double> importance_ratio_;
};

// Takes what model and sampler disagree on out of the mask.
RejectionMetrics reject(const RowOptions& options, RowArrays& arrays) {
  RejectionMetrics metrics;
  if (options.rejection.empty()) return metrics;
  if (arrays.sampled_logprob.empty()) fail("objective: \"rollout_rs\" needs \"sampling_per_token_logps\"");
  const auto accepted =
      accepted_tokens(options.rejection, arrays.start, old_of(arrays), arrays.sampled_logprob, arrays.mask, &metrics);
  for (size_t t = 0; t < accepted.size(); ++t) arrays.mask[t] = arrays.mask[t] != 0 && accepted[t] != 0;
  return metrics;
}

nlohmann::json metrics_of(const ObjectiveResult& result, const RejectionMetrics& rejection) {
  nlohmann::json out = nlohmann::json::object();
  for (const auto& [name, value] : result.metrics.values()) out[name] = value;
  for (const auto& [name, value] : rejection.values()) out[name] = value;
  return out;
}

}  // namespace

nlohmann::json objective_row(const nlohmann::json& row) {
  check_keys(row);
  const RowOptions options = read_options(row);
  RowArrays arrays = read_arrays(row);
  const bool given = !arrays.advantage.empty() || !arrays.token_advantage.empty();
  complete_advantages(options, arrays);
  const std::vector<uint8_t> sampled_mask = arrays.mask;
  const RejectionMetrics rejection = reject(options, arrays);
  const Weights weights(options, arrays, sampled_mask);

  BasicTokenBatch<double> batch;
  batch.start = arrays.start;
  batch.logprob = arrays.logprob;
  batch.old_logprob = arrays.old_logprob;
  batch.reference_logprob = arrays.reference_logprob;
  batch.sampled_logprob = arrays.sampled_logprob;
  batch.entropy = arrays.entropy;
  batch.mask = arrays.mask;
  batch.advantage = arrays.advantage;
  batch.token_advantage = arrays.token_advantage;
  batch.policy_weight = weights.values();
  batch.entropy_mask = weights.entropy_mask();
  batch.importance_ratio = weights.importance_ratio();

  const bool bonus = options.objective.entropy_coefficient != 0;
  const double entropy_tokens = count(weights.entropy_mask().empty() ? arrays.mask : weights.entropy_mask());
  std::vector<double> dlogprob(arrays.logprob.size()), dentropy(bonus ? arrays.logprob.size() : 0);
  ObjectiveResult result;
  if (arrays.rows() > 0) {
    const Normalizer normalizer = normalizer_of(options, arrays, entropy_tokens);
    result = evaluate<double>(options.objective, batch, normalizer, dlogprob, dentropy);
  }
  nlohmann::json out = {{"loss", result.loss},
                        {"dlogp", in_shape(arrays, dlogprob)},
                        {"dentropy", bonus ? in_shape(arrays, dentropy) : nlohmann::json(nullptr)},
                        {"metrics", metrics_of(result, rejection)}};
  if (!given && !arrays.advantage.empty()) out["advantages"] = arrays.advantage;
  return out;
}

}  // namespace grpo::algorithm
