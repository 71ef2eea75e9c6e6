#include "check.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "print.hpp"
#include "table.hpp"

namespace grpo::config {

namespace {

// What is not given depends on what is: written down, so that the configuration in effect says it and reads back to the
// same.
void derive_algorithm(Config& config, const Origin& derived) {
  static const std::map<std::string, std::pair<Number, Number>> clips = {
      {"gspo", {3e-4, 4e-4}},   {"gspo_token", {3e-4, 4e-4}}, {"luspo", {2e-3, 2.5e-3}}, {"gmpo", {0.4, 0.4}},
      {"geo_mean", {0.4, 0.4}}, {"dppo_tv", {0.15, 0.15}},    {"dppo_kl", {0.05, 0.05}}};
  auto& a = config.algorithm;
  const auto open = [&](const char* key) { return config.origin(key).kind == Origin::Kind::built_in; };
  const auto set = [&](auto& value, const auto& to, const char* key) {
    if (value == to) return;
    value = to;
    config.origins[key] = derived;
  };
  const bool low = open("algorithm.clip_low"), high = open("algorithm.clip_high");
  const auto own = clips.find(a.objective);
  if (low && own != clips.end()) set(a.clip_low, own->second.first, "algorithm.clip_low");
  if (high && !low) set(a.clip_high, a.clip_low, "algorithm.clip_high");
  if (high && low && own != clips.end()) set(a.clip_high, own->second.second, "algorithm.clip_high");
  if (a.kl_in_reward && open("algorithm.kl_estimator"))
    set(a.kl_estimator, std::string("k1"), "algorithm.kl_estimator");
}

}  // namespace

void derive(Config& config, const std::string& file_stem) {
  const Origin derived{Origin::Kind::derived, "", 0};
  if (config.run.name.empty()) {
    config.run.name = file_stem;
    config.origins["run.name"] = derived;
  }
  if (config.run.output_dir.empty()) {
    config.run.output_dir = Path("runs") / config.run.name;
    config.origins["run.output_dir"] = derived;
  }
  derive_algorithm(config, derived);
  for (std::size_t i = 0; i < config.rewards.size(); ++i) {
    if (!config.rewards[i].name.empty()) continue;
    config.rewards[i].name = config.rewards[i].plugin;
    config.origins["rewards." + std::to_string(i) + ".name"] = derived;
  }
  for (std::size_t i = 0; i < config.evaluation_datasets.size(); ++i) {
    auto& set = config.evaluation_datasets[i];
    if (!set.name.empty() || set.path.empty()) continue;
    set.name = set.path.stem().string();
    config.origins["evaluation.datasets." + std::to_string(i) + ".name"] = derived;
  }
}

namespace {

// What an effective configuration repeats (the built-in values) is no mistake.
template <class Wrong>
void check_isolation(const RewardConfig& reward, const std::string& prefix, const Wrong& wrong) {
  if (reward.isolate) return;
  const RewardConfig built_in;
  const auto only_isolated = [&](const char* key, bool changed) {
    if (changed) wrong(prefix + key, "is for a plugin in a process of its own: set `isolate: true` beside it");
  };
  only_isolated("memory_gib", reward.memory_gib != built_in.memory_gib);
  only_isolated("children", reward.children != built_in.children);
  only_isolated("processes", reward.processes != built_in.processes);
  only_isolated("max_crashes", reward.max_crashes != built_in.max_crashes);
}

// Which parts of an algorithm go together.
template <class Wrong>
void check_algorithm(const AlgorithmConfig& a, const Wrong& wrong) {
  const bool reinforce = a.advantage == "reinforce_pp" || a.advantage == "reinforce_plus_plus";
  const bool gdpo = a.advantage == "gdpo" || a.advantage == "normalize_then_sum";
  if (a.gamma != 1 && !reinforce)
    wrong("algorithm.gamma", "discounts the returns of `advantage: reinforce_pp` alone: leave it at 1");
  if ((a.advantage == "passk" || a.advantage == "grpo_passk") && a.group_size < 2)
    wrong("algorithm.advantage",
          "compares the best of a group with the second: algorithm.group_size must be 2 or more");
  if (a.kl_in_reward && gdpo)
    wrong("algorithm.kl_in_reward",
          "does not go with `advantage: gdpo`, which takes every reward by itself: put the KL "
          "into the loss");
  if (a.kl_in_reward && a.kl_coefficient == 0)
    wrong("algorithm.kl_in_reward", "needs a weight: set algorithm.kl_coefficient");
  if (a.kl_control == "adaptive" && a.kl_coefficient == 0)
    wrong("algorithm.kl_control", "is `adaptive`, which starts from algorithm.kl_coefficient: set it");
  if (a.entropy_coefficient_min > a.entropy_coefficient_max)
    wrong("algorithm.entropy_coefficient_min",
          "is above algorithm.entropy_coefficient_max, " + number_text(a.entropy_coefficient_max));
  if (a.rollout_correction_normalize && a.rollout_correction == "none")
    wrong("algorithm.rollout_correction_normalize", "is of weights that algorithm.rollout_correction makes: set that");
  if (a.rollout_correction_normalize && a.objective == "vespo")
    wrong("algorithm.rollout_correction_normalize",
          "does not go with `objective: vespo`, which takes the weights into one of its own");
  if (a.rollout_correction != "none" && a.old_logprobs == "sampler")
    wrong("algorithm.rollout_correction",
          "corrects for what `old_logprobs: sampler` has in its ratio already: leave one of them out");
  const auto rejection = comma_list(a.rollout_rejection);
  if (rejection.empty() != a.rollout_rejection_threshold.empty())
    wrong(rejection.empty() ? "algorithm.rollout_rejection_threshold" : "algorithm.rollout_rejection",
          rejection.empty() ? "is of modes that algorithm.rollout_rejection names: set that"
                            : "needs its largest divergence: set algorithm.rollout_rejection_threshold");
  if (a.old_logprobs == "sampler" && std::find(rejection.begin(), rejection.end(), "m2") != rejection.end())
    wrong(
        "algorithm.rollout_rejection",
        "has `m2`, which compares the model at the start of the step with the sampler: `old_logprobs: sampler` leaves "
        "nothing to compare");
  if (a.rollout_correction_max != 0 && a.rollout_correction_min > a.rollout_correction_max)
    wrong("algorithm.rollout_correction_min",
          "is above algorithm.rollout_correction_max, " + number_text(a.rollout_correction_max));
  if (a.objective == "vespo" && a.rollout_correction.starts_with("sequence"))
    wrong("algorithm.rollout_correction",
          "is of whole completions, but `objective: vespo` has a weight for these already: take token_truncate or "
          "token_mask");
  if ((a.objective == "gmpo" || a.objective == "geo_mean") && !a.ratio.empty() && a.ratio != "sequence")
    wrong("algorithm.ratio", "cannot be changed in `objective: gmpo`, whose ratio is the completion's geometric mean");
  if (a.objective.starts_with("dppo_") && !a.ratio.empty() && a.ratio != "token")
    wrong("algorithm.ratio",
          "cannot be changed in `objective: " + a.objective + "`, which bounds what a single token's probability does");
  if (a.clip_cov_low > a.clip_cov_high)
    wrong("algorithm.clip_cov_low", "is above algorithm.clip_cov_high, " + number_text(a.clip_cov_high));
  if (a.cispo_min_ratio > a.cispo_max_ratio)
    wrong("algorithm.cispo_min_ratio", "is above algorithm.cispo_max_ratio, " + number_text(a.cispo_max_ratio));
}

// Names are parts of metrics' names and of the table.
template <class Wrong>
void check_datasets(const Config& config, const Wrong& wrong) {
  std::set<std::string> names;
  if (!config.evaluation.path.empty()) names.insert(config.evaluation.path.stem().string());
  for (std::size_t i = 0; i < config.evaluation_datasets.size(); ++i) {
    const auto& set = config.evaluation_datasets[i];
    const std::string prefix = "evaluation.datasets." + std::to_string(i) + ".";
    if (set.path.empty()) {
      wrong(prefix + "path", "is missing: every set names its file");
      continue;
    }
    if (set.name.find('/') != std::string::npos)
      wrong(prefix + "name", "may not contain `/`: it is part of metrics' names");
    if (!names.insert(set.name).second)
      wrong(prefix + "name", "is the second set called `" + set.name + "`: give it another name");
    if (set.samples > 1 && config.evaluation.temperature == 0)
      wrong(prefix + "samples", "is " + std::to_string(set.samples) +
                                    ", but greedy completions are all the same: set evaluation.temperature above 0");
  }
}

}  // namespace

void check(const Config& config, std::vector<std::string>& mistakes) {
  const auto wrong = [&](const std::string& key, const std::string& what) {
    mistakes.push_back(config.where(key) + " " + what);
  };
  if (config.run.name.find('/') != std::string::npos || config.run.name == "." || config.run.name == "..")
    wrong("run.name", "names a directory: it may not contain `/`");

  std::set<std::string> names;
  bool evaluates = config.evaluation.reward.empty();
  for (std::size_t i = 0; i < config.rewards.size(); ++i) {
    const std::string prefix = "rewards." + std::to_string(i) + ".";
    if (config.rewards[i].plugin.empty()) {
      wrong(prefix + "plugin", "is missing: every reward names its plugin");
      continue;
    }
    evaluates = evaluates || config.rewards[i].name == config.evaluation.reward;
    if (!names.insert(config.rewards[i].name).second)
      wrong(prefix + "plugin", "is the second reward called `" + config.rewards[i].name + "`: give it a `name`");
    check_isolation(config.rewards[i], prefix, wrong);
  }
  if (!config.sampler.isolate && config.sampler.memory_gib != SamplerConfig().memory_gib)
    wrong("sampler.memory_gib", "is for a plugin in a process of its own: set `isolate: true` beside it");
  if (!evaluates) wrong("evaluation.reward", "is `" + config.evaluation.reward + "`, but no reward has this name");

  if (config.sampler.min_new_tokens > config.sampler.max_new_tokens)
    wrong("sampler.min_new_tokens", "is " + std::to_string(config.sampler.min_new_tokens) +
                                        ", above sampler.max_new_tokens, " +
                                        std::to_string(config.sampler.max_new_tokens));
  const bool of_ratios = !config.algorithm.objective.starts_with("dppo_");  // whose clips are of probabilities
  if (of_ratios && config.algorithm.delta != 0 && config.algorithm.delta <= 1 + config.algorithm.clip_high)
    wrong("algorithm.delta", "is " + number_text(config.algorithm.delta) +
                                 ": it must be 0 (off) or above 1 + algorithm.clip_high, " +
                                 number_text(1 + config.algorithm.clip_high));
  check_algorithm(config.algorithm, wrong);
  constexpr Integer most_completions = 10'000'000;  // in memory at once
  const Integer completions = config.algorithm.prompts_per_step * config.algorithm.group_size;
  if (completions > most_completions)
    wrong("algorithm.prompts_per_step", "times algorithm.group_size is " + std::to_string(completions) +
                                            " completions a step, above " + std::to_string(most_completions));
  if (config.algorithm.minibatches > completions)
    wrong("algorithm.minibatches", "is above the completions of a step, " + std::to_string(completions));
  constexpr double most_steps = 1e15;  // counts of steps, and of tokens in them, stay within 64 bits
  const double passes =
      static_cast<double>(config.algorithm.iterations) * static_cast<double>(config.algorithm.minibatches);
  if (passes * static_cast<double>(std::max<Integer>(1, config.run.max_steps)) > most_steps)
    wrong("algorithm.iterations", "times algorithm.minibatches and steps is above 1e15 optimizer steps");
  constexpr double coldest = 1e-4;  // logits over less leave the range of 32-bit numbers
  if (config.sampler.temperature > 0 && config.sampler.temperature < coldest)
    wrong("sampler.temperature",
          "is " + number_text(config.sampler.temperature) + ": take 0 (greedy), or at least " + number_text(coldest));
  check_datasets(config, wrong);
  if (config.evaluation.samples > 1 && config.evaluation.temperature == 0)
    wrong("evaluation.samples", "is " + std::to_string(config.evaluation.samples) +
                                    ", but greedy completions are all the same: set evaluation.temperature above 0");
  if (!config.data.messages_key.empty() && config.data.raw_prompt)
    wrong("data.raw_prompt", "is true, but messages need a chat template: leave out data.messages_key or this");
  if (!config.data.messages_key.empty() && !config.data.prompt_template.empty())
    wrong("data.prompt_template", "is given, but is for the text of data.prompt_key, not for data.messages_key");
}

}  // namespace grpo::config
