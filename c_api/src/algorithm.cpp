// Advantages and objectives on the caller's arrays.
#include <cmath>
#include <nlohmann/json.hpp>

#include "boundary.hpp"
#include "grpo/sdk/algorithm/advantages.hpp"
#include "grpo/sdk/algorithm/objective.hpp"
#include "grpo/sdk/algorithm/objective_row.hpp"
#include "grpo/sdk/config/config.hpp"
#include "grpo/sdk/train/update.hpp"

using namespace grpo;
using embed::guarded;
using embed::Invalid;
using embed::needed;

struct grpo_embed_objective {
  algorithm::ObjectiveOptions options;
};

namespace {

using nlohmann::json;

// A number that is not finite is null.
json number(double value) { return std::isfinite(value) ? json(value) : json(nullptr); }

double number_of(const json& value, const std::string& key) {
  if (!value.is_number()) throw Invalid("options: " + key + " is " + value.dump() + "; it must be a number");
  return value.get<double>();
}

// Numbers of an objective that the configuration has no key for. Takes them out of options.
void set_guards(json& options, algorithm::ObjectiveOptions& o) {
  for (const auto& [key, value] : {std::pair{"log_ratio_limit", &o.log_ratio_limit}, {"kl_limit", &o.kl_limit}})
    if (const auto at = options.find(key); at != options.end()) *value = number_of(*at, key);
}

bool is_guard(const std::string& key) { return key == "log_ratio_limit" || key == "kl_limit"; }

// What acts before the objective sees its arrays would be asked for in vain here.
void check_acts(const config::AlgorithmConfig& a) {
  const config::AlgorithmConfig built_in;
  const auto outside = [](const char* key, bool asked, const char* instead) {
    if (asked) throw Invalid(std::string("options: ") + key + " is no part of the objective: " + instead);
  };
  outside("rollout_correction", a.rollout_correction != built_in.rollout_correction,
          "give its weights as tokens.policy_weight");
  outside("rollout_rejection", a.rollout_rejection != built_in.rollout_rejection, "leave its tokens out of tokens.mask");
  outside("off_policy_mask_threshold", a.off_policy_mask_threshold != built_in.off_policy_mask_threshold,
          "give its mask as tokens.policy_weight");
  outside("top_entropy_quantile", a.top_entropy_quantile != built_in.top_entropy_quantile,
          "give its mask as tokens.policy_weight");
  outside("old_logprobs", a.old_logprobs != built_in.old_logprobs, "give the sampler's as tokens.old_logprob");
  outside("kl_in_reward", a.kl_in_reward, "take it off the rewards before the advantages");
  outside("adaptive_entropy", a.adaptive_entropy, "open an objective anew for another entropy_coefficient");
  outside("kl_control", a.kl_control != built_in.kl_control, "open an objective anew for another kl_coefficient");
}

// The keys of the section `algorithm` are read by the configuration itself: same names, same checks, same texts.
algorithm::ObjectiveOptions options_of(const json& given) {
  json section = json::object(), guards = json::object();
  for (const auto& [key, value] : given.items()) (is_guard(key) ? guards : section)[key] = value;
  const config::Source source{"options", json{{"algorithm", section}}.dump(), {}};
  const config::Config config = config::load(source);
  check_acts(config.algorithm);
  algorithm::ObjectiveOptions options = train::objective_of(config);
  set_guards(guards, options);
  algorithm::check(options);
  return options;
}

json metrics_of(const algorithm::ObjectiveMetrics& metrics) {
  json out = json::object();
  for (const auto& [name, value] : metrics.values()) out[name] = number(value);
  return out;
}

template <class Real>
std::span<const Real> optional(const void* array, std::size_t n) {
  return array ? std::span<const Real>(static_cast<const Real*>(array), n) : std::span<const Real>();
}

// The rows of the caller's tokens: how many tokens they are.
std::size_t checked_tokens(const grpo_embed_tokens& t) {
  embed::check_count(t.n_rows, "tokens.n_rows");
  needed(t.start, "tokens.start");
  if (t.start[0] != 0) throw Invalid("tokens.start[0] is " + std::to_string(t.start[0]) + "; it must be 0");
  for (std::int64_t i = 0; i < t.n_rows; ++i)
    if (t.start[i + 1] < t.start[i]) throw Invalid("tokens.start falls at " + std::to_string(i + 1));
  embed::check_count(t.start[t.n_rows], "tokens.start[n_rows]");
  return static_cast<std::size_t>(t.start[t.n_rows]);
}

template <class Real>
void evaluate(const algorithm::ObjectiveOptions& options, const grpo_embed_tokens& t, const grpo_embed_gradient& g) {
  const std::size_t n = checked_tokens(t), rows = static_cast<std::size_t>(t.n_rows);
  if (n > 0) needed(static_cast<const Real*>(t.logprob), "tokens.logprob");
  if (!t.advantage && !t.token_advantage) throw Invalid("tokens: advantage and token_advantage are both NULL");
  algorithm::BasicTokenBatch<Real> batch;
  batch.start = {t.start, rows + 1};
  batch.logprob = optional<Real>(t.logprob, n);
  batch.old_logprob = optional<Real>(t.old_logprob, n);
  batch.reference_logprob = optional<Real>(t.reference_logprob, n);
  batch.sampled_logprob = optional<Real>(t.sampled_logprob, n);
  batch.entropy = optional<Real>(t.entropy, n);
  batch.mask = optional<std::uint8_t>(t.mask, n);
  batch.advantage = optional<double>(t.advantage, rows);
  batch.token_advantage = optional<double>(t.token_advantage, n);
  batch.policy_weight = optional<double>(t.policy_weight, n);
  algorithm::Normalizer normalizer;
  normalizer.rows = t.total_rows > 0 ? t.total_rows : static_cast<double>(rows);
  normalizer.tokens = t.total_tokens;
  if (!(normalizer.tokens > 0)) {
    normalizer.tokens = 0;
    for (std::size_t i = 0; i < n; ++i) normalizer.tokens += !t.mask || t.mask[i] ? 1 : 0;
  }
  normalizer.max_completion_length = t.max_completion_length;
  std::vector<Real> unwanted(g.logprob ? 0 : n);
  const std::span<Real> dlogprob = g.logprob ? std::span<Real>(static_cast<Real*>(g.logprob), n) : unwanted;
  const std::span<Real> dentropy = g.entropy ? std::span<Real>(static_cast<Real*>(g.entropy), n) : std::span<Real>();
  const auto result = algorithm::evaluate<Real>(options, batch, normalizer, dlogprob, dentropy);
  if (g.metrics) embed::give(g.metrics, metrics_of(result.metrics));
  *g.loss = result.loss;
}

}  // namespace

grpo_status grpo_embed_advantages(const char* kind, int64_t n_samples, const double* rewards, int64_t n_groups,
                                  const int64_t* group_start, double epsilon, double* advantages, grpo_embed_text* statistics,
                                  grpo_embed_error* error) {
  embed::clear(statistics);
  return guarded(error, [&]() -> grpo_status {
    embed::check_count(n_samples, "n_samples");
    embed::check_count(n_groups, "n_groups");
    if (n_samples > 0) needed(rewards, "rewards"), needed(advantages, "advantages");
    const auto n = static_cast<std::size_t>(n_samples);
    algorithm::AdvantageStatistics s;
    const auto out =
        algorithm::advantages(algorithm::advantage_kind(&needed(kind, "kind")), {rewards, n},
                              {&needed(group_start, "group_start"), static_cast<std::size_t>(n_groups) + 1}, epsilon, &s);
    if (statistics)
      embed::give(statistics, json{{"reward", number(s.reward_mean)},
                                   {"reward_std", number(s.reward_std)},
                                   {"advantage/mean", number(s.advantage_mean)},
                                   {"advantage/std", number(s.advantage_std)},
                                   {"frac_reward_zero_std", s.frac_reward_zero_std},
                                   {"zero_std_groups", s.zero_std_groups},
                                   {"not_applicable", s.not_applicable}});
    std::copy(out.begin(), out.end(), advantages);
    return GRPO_STATUS_OK;
  });
}

grpo_status grpo_embed_objective_open(const char* options, grpo_embed_objective** objective, grpo_embed_error* error) {
  return guarded(error, [&]() -> grpo_status {
    needed(objective, "objective") = nullptr;
    *objective = new grpo_embed_objective{options_of(embed::object_of(options, "options"))};
    return GRPO_STATUS_OK;
  });
}

grpo_status grpo_embed_objective_evaluate(const grpo_embed_objective* objective, const grpo_embed_tokens* tokens,
                                          const grpo_embed_gradient* gradient, grpo_embed_error* error) {
  return guarded(error, [&]() -> grpo_status {
    const auto g = GRPO_EMBED_TAKEN(grpo_embed_gradient, gradient, metrics);
    embed::clear(g.metrics);
    const auto t = GRPO_EMBED_TAKEN(grpo_embed_tokens, tokens, max_completion_length);
    embed::check_flags(t.flags, GRPO_EMBED_DOUBLE, "tokens");
    embed::check_flags(g.flags, 0, "gradient");
    needed(g.loss, "gradient.loss");
    const auto& options = needed(objective, "objective").options;
    if ((t.flags & GRPO_EMBED_DOUBLE) != 0)
      evaluate<double>(options, t, g);
    else
      evaluate<float>(options, t, g);
    return GRPO_STATUS_OK;
  });
}

void grpo_embed_objective_close(grpo_embed_objective* objective) { delete objective; }

grpo_status grpo_embed_objective_row(const char* row, grpo_embed_text* json, grpo_embed_error* error) {
  embed::clear(json);
  return guarded(error, [&]() -> grpo_status {
    needed(json, "json");
    embed::give(json, algorithm::objective_row(embed::object_of(&needed(row, "row"), "row")));
    return GRPO_STATUS_OK;
  });
}
