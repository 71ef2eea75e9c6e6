// The options of a row, under TRL's names and with the defaults of TRL 1.16.
#include <algorithm>
#include <array>
#include <initializer_list>
#include <limits>
#include <map>

#include "objective_row_parts.hpp"
#include "text.hpp"

namespace grpo::algorithm {

namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 3> nests = {"config", "options", "args"};

// clang-format off
constexpr auto known = std::to_array<std::string_view>({
    "loss_type", "importance_sampling_level", "epsilon", "epsilon_low", "epsilon_high", "delta",
    "beta", "use_bias_correction_kl", "kl_estimator",
    "entropy_coef", "use_adaptive_entropy", "top_entropy_quantile",
    "off_policy_mask_threshold",
    "sapo_temperature_pos", "sapo_temperature_neg",
    "vespo_k_pos", "vespo_lambda_pos", "vespo_k_neg", "vespo_lambda_neg",
    "clip_ratio_c", "loss_agg_mode", "cispo_min_ratio", "cispo_max_ratio",
    "clip_cov_ratio", "clip_cov_lb", "clip_cov_ub", "kl_cov_ratio", "ppo_kl_coef", "dro_beta",
    "rollout_rs", "rollout_rs_threshold",
    "multi_objective_aggregation", "reward_weights", "advantage_epsilon",
    "scale_rewards", "num_generations", "max_completion_length",
    "gradient_accumulation_steps", "current_gradient_accumulation_steps", "accumulation", "accum", "steps_per_generation",
    "num_processes", "world_size",
    "num_items_in_batch", "num_items",
    "is_correction", "is_clip_min", "is_clip_max",
    "use_vllm", "vllm_importance_sampling_correction", "vllm_importance_sampling_mode",
    "vllm_importance_sampling_clip_min", "vllm_importance_sampling_clip_max", "vllm_importance_sampling_cap",
    "config", "options", "args",
});
// clang-format on

// Options of TRL's that end in the arrays or do not reach the loss: a whole GRPOConfig can be pasted.
constexpr std::array<std::string_view, 10> without_effect = {"num_iterations",
                                                             "temperature",
                                                             "mask_truncated_completions",
                                                             "sync_ref_model",
                                                             "entropy_coef_min",
                                                             "entropy_coef_max",
                                                             "entropy_target",
                                                             "learning_rate",
                                                             "entropy_coef_delta",
                                                             "per_device_train_batch_size"};

template <size_t n>
bool contains(const std::array<std::string_view, n>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The options of a row, gathered from the nest and from beside the arrays.
class Options {
 public:
  explicit Options(const json& row) {
    for (const auto& [key, value] : row.items()) {
      if (!contains(nests, key)) {
        if (is_option_key(key)) add(key, value);
        continue;
      }
      if (!value.is_object()) fail("objective: \"", key, "\" must be an object of options");
      for (const auto& [option, nested] : value.items()) {
        if (!is_option_key(option) || contains(nests, option)) {
          fail("objective: unknown option \"", option, "\" in \"", key, "\"; known: ", known_options());
        }
        add(option, nested);
      }
    }
  }

  // Null counts as absent, as TRL's None does. (vllm_importance_sampling_clip_max is the one option where it does not.)
  bool has(const char* key) const { return values_.contains(key) && !values_.at(key).is_null(); }
  bool is_null(const char* key) const { return values_.contains(key) && values_.at(key).is_null(); }
  const json& at(const char* key) const { return values_.at(key); }

  double number(const char* key, double otherwise) const {
    if (!has(key)) return otherwise;
    if (!at(key).is_number()) fail("objective: option \"", key, "\" is ", at(key).dump(), "; it must be a number");
    return at(key).get<double>();
  }
  std::optional<double> number(const char* key) const {
    return has(key) ? std::optional<double>(number(key, 0)) : std::nullopt;
  }
  double positive(const char* key, double otherwise) const {
    const double value = number(key, otherwise);
    if (!(value > 0)) fail("objective: option \"", key, "\" is ", value, "; it must be over 0");
    return value;
  }
  double first_positive(std::initializer_list<const char*> keys, double otherwise) const {
    for (const char* key : keys) {
      if (has(key)) return positive(key, otherwise);
    }
    return otherwise;
  }
  std::vector<double> numbers(const char* key) const {
    if (!has(key)) return {};
    const json& given = at(key);
    const auto is_number = [](const json& element) { return element.is_number(); };
    if (!given.is_array() || !std::all_of(given.begin(), given.end(), is_number))
      fail("objective: option \"", key, "\" is ", given.dump(), "; it must be a list of numbers");
    return given.get<std::vector<double>>();
  }
  bool flag(const char* key, bool otherwise) const {
    if (!has(key)) return otherwise;
    if (!at(key).is_boolean())
      fail("objective: option \"", key, "\" is ", at(key).dump(), "; it must be true or false");
    return at(key).get<bool>();
  }
  // A number too: verl's thresholds are either.
  std::string text_or_number(const char* key) const {
    return has(key) && at(key).is_number() ? at(key).dump() : text(key, "");
  }
  std::string text(const char* key, const char* otherwise) const {
    if (!has(key)) return otherwise;
    if (!at(key).is_string()) fail("objective: option \"", key, "\" is ", at(key).dump(), "; it must be a string");
    return at(key).get<std::string>();
  }

 private:
  void add(const std::string& key, const json& value) {
    if (!values_.emplace(key, value).second) fail("objective: option \"", key, "\" is given twice");
  }

  static std::string known_options() {
    std::string list;
    for (std::string_view name : known) {
      if (!contains(nests, name)) list.append(list.empty() ? "" : ", ").append(name);
    }
    return list;
  }

  std::map<std::string, json, std::less<>> values_;
};

// TRL corrects when it samples with vLLM; a row that names a mode means it.
std::optional<RolloutCorrection> correction_of(const Options& options) {
  const std::string mode = options.text("vllm_importance_sampling_mode", "sequence_mask");
  if (options.is_null("is_correction")) return std::nullopt;
  if (options.has("is_correction")) {
    const json& given = options.at("is_correction");
    if (given.is_boolean()) return given.get<bool>() ? std::optional(rollout_correction(mode)) : std::nullopt;
    const std::string name = options.text("is_correction", "");
    return name == "none" || name.empty() ? std::nullopt : std::optional(rollout_correction(name));
  }
  const bool named = options.has("vllm_importance_sampling_mode") || options.has("vllm_importance_sampling_correction");
  const bool on = options.flag("use_vllm", named) && options.flag("vllm_importance_sampling_correction", true);
  return on ? std::optional(rollout_correction(mode)) : std::nullopt;
}

void read_correction(const Options& options, RowOptions& out) {
  out.correction = correction_of(options);
  const char* const upper[] = {"vllm_importance_sampling_clip_max", "vllm_importance_sampling_cap", "is_clip_max"};
  for (const char* key : upper) {
    if (options.has(key)) out.correction_max = options.number(key);
  }
  if (options.is_null(upper[0]) && !options.has(upper[1]) && !options.has(upper[2])) out.correction_max.reset();
  out.correction_min = options.number("vllm_importance_sampling_clip_min");
  if (options.has("is_clip_min")) out.correction_min = options.number("is_clip_min");
  if (out.objective.term == PolicyTerm::vespo &&
      (out.correction == RolloutCorrection::sequence_mask || out.correction == RolloutCorrection::sequence_truncate)) {
    fail("objective: vespo needs \"is_correction\" (vllm_importance_sampling_mode) token_truncate or token_mask");
  }
}

void read_objective(const Options& options, RowOptions& out) {
  ObjectiveOptions& o = out.objective;
  out.loss_type = folded(options.text("loss_type", "dapo"));
  o = objective_options(out.loss_type);
  if (out.loss_type == "luspo") {  // TRL's defaults whatever the loss
    o.ratio = RatioLevel::token;
    o.clip_low = o.clip_high = 0.2;
  }
  if (options.has("importance_sampling_level")) {
    o.ratio = ratio_level(options.text("importance_sampling_level", "token"));
  }
  if (options.has("epsilon") || options.has("epsilon_low")) {
    o.clip_low = options.number(options.has("epsilon_low") ? "epsilon_low" : "epsilon", 0);
    o.clip_high = o.clip_low;
  }
  o.clip_high = options.number("epsilon_high", o.clip_high);
  o.cispo_max_ratio = o.clip_high;  // absolute in TRL
  o.cispo_min_ratio = options.number("cispo_min_ratio", o.cispo_min_ratio);
  o.cispo_max_ratio = options.number("cispo_max_ratio", o.cispo_max_ratio);
  o.delta = options.number(options.has("delta") ? "delta" : "clip_ratio_c");
  if (options.has("loss_agg_mode")) o.aggregation = aggregation(options.text("loss_agg_mode", ""));
  o.kl_coefficient = options.number("beta", 0);
  o.kl_bias_correction = options.flag("use_bias_correction_kl", true);
  o.kl_estimator = kl_estimator(options.text("kl_estimator", "k3"));
  o.entropy_coefficient = options.number("entropy_coef", 0);
  if (options.flag("use_adaptive_entropy", false)) {
    fail("objective: \"use_adaptive_entropy\" is a matter of a run, not of a row: give the \"entropy_coef\" in force");
  }
  o.sapo_temperature_positive = options.number("sapo_temperature_pos", o.sapo_temperature_positive);
  o.sapo_temperature_negative = options.number("sapo_temperature_neg", o.sapo_temperature_negative);
  o.vespo_k_positive = options.number("vespo_k_pos", o.vespo_k_positive);
  o.vespo_lambda_positive = options.number("vespo_lambda_pos", o.vespo_lambda_positive);
  o.vespo_k_negative = options.number("vespo_k_neg", o.vespo_k_negative);
  o.vespo_lambda_negative = options.number("vespo_lambda_neg", o.vespo_lambda_negative);
  o.clip_cov_ratio = options.number("clip_cov_ratio", o.clip_cov_ratio);
  o.clip_cov_low = options.number("clip_cov_lb", o.clip_cov_low);
  o.clip_cov_high = options.number("clip_cov_ub", o.clip_cov_high);
  o.kl_cov_ratio = options.number("kl_cov_ratio", o.kl_cov_ratio);
  o.kl_cov_coefficient = options.number("ppo_kl_coef", o.kl_cov_coefficient);
  o.dro_beta = options.number("dro_beta", o.dro_beta);
  // TRL guards neither.
  o.log_ratio_limit = o.kl_limit = std::numeric_limits<double>::infinity();
}

std::vector<RejectionCriterion> rejection_of(const Options& options) {
  try {
    return rejection_criteria(options.text("rollout_rs", ""), options.text_or_number("rollout_rs_threshold"));
  } catch (const Error& error) {
    fail("objective: \"rollout_rs\", \"rollout_rs_threshold\": ", error.what());
  }
}

AdvantageKind scale_rewards(const Options& options) {
  const std::string order = options.text("multi_objective_aggregation", "sum_then_normalize");
  if (order == "normalize_then_sum") return AdvantageKind::gdpo;
  if (order != "sum_then_normalize")
    fail("objective: option \"multi_objective_aggregation\" is \"", order,
         "\"; it must be sum_then_normalize or normalize_then_sum");
  if (!options.has("scale_rewards")) return AdvantageKind::group;
  const json& given = options.at("scale_rewards");
  if (given.is_boolean()) return given.get<bool>() ? AdvantageKind::group : AdvantageKind::none;
  return advantage_kind(options.text("scale_rewards", ""));
}

}  // namespace

bool is_option_key(const std::string& key) { return contains(known, key) || contains(without_effect, key); }

RowOptions read_options(const json& row) {
  const Options options(row);
  RowOptions out;
  read_objective(options, out);
  read_correction(options, out);
  out.top_entropy_quantile = options.number("top_entropy_quantile", 1);
  if (!(out.top_entropy_quantile >= 0 && out.top_entropy_quantile <= 1)) {
    fail("objective: option \"top_entropy_quantile\" is ", out.top_entropy_quantile, "; it must be in [0, 1]");
  }
  out.off_policy_threshold = options.number("off_policy_mask_threshold");
  out.rejection = rejection_of(options);
  out.accumulation = options.first_positive(
      {"current_gradient_accumulation_steps", "gradient_accumulation_steps", "accumulation", "accum"}, 1);
  out.steps_per_generation = options.first_positive(
      {"steps_per_generation", "gradient_accumulation_steps", "accumulation", "accum"}, out.accumulation);
  out.processes = options.first_positive({"num_processes", "world_size"}, 1);
  out.max_completion_length = options.positive("max_completion_length", 512);
  out.scale_rewards = scale_rewards(options);
  out.advantage_epsilon = options.number("advantage_epsilon", out.advantage_epsilon);
  out.reward_weights = options.numbers("reward_weights");
  out.num_items = options.number(options.has("num_items") ? "num_items" : "num_items_in_batch");
  if (options.has("num_generations")) out.group_size = static_cast<int64_t>(options.positive("num_generations", 1));
  return out;
}

}  // namespace grpo::algorithm
