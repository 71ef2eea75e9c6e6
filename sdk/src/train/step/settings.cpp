#include "step/settings.hpp"

#include <fmt/format.h>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/report/console.hpp"
#include "grpo/sdk/train/dynamic_sampling.hpp"
#include "grpo/sdk/train/evaluate.hpp"
#include "grpo/sdk/train/overlong.hpp"
#include "grpo/sdk/train/prompts.hpp"

namespace grpo::train {

const config::Config& checked_for_grpo(const config::Config& c) {
  const auto& a = c.algorithm;
  if (c.data.path.empty()) throw Error(c.where("data.path") + ": not given; name a JSONL file of prompts");
  check_data_file(c, "data.path", c.data.path);
  check_evaluation_files(c);
  if (c.sampler.temperature == 0)
    throw Error(c.where("sampler.temperature") +
                ": 0 is greedy, so all completions of a prompt are equal and there is nothing to learn from them; "
                "training needs a temperature above 0 (evaluation.temperature is separate)");
  if (a.minibatches > a.prompts_per_step)
    throw Error(c.where("algorithm.minibatches") + ": " + std::to_string(a.minibatches) +
                " optimizer steps cannot share " + std::to_string(a.prompts_per_step) +
                " prompts (algorithm.prompts_per_step)");
  if (a.prompts_per_step % a.minibatches != 0)
    report::log(report::Level::warning,
                c.where("algorithm.minibatches") +
                    fmt::format(": {} prompts do not divide into {} minibatches, so some are larger than others",
                                a.prompts_per_step, a.minibatches));
  if (c.reference.refresh_every_steps > 0 && a.kl_coefficient == 0)
    throw Error(c.where("reference.refresh_every_steps") +
                ": there is no reference model to renew, since algorithm.kl_coefficient is 0");
  overlong_of(c);
  weights_of(c);
  dynamic_sampling_of(c);
  if (a.group_size == 1 && a.advantage != "batch")
    report::log(report::Level::warning,
                c.where("algorithm.group_size") +
                    ": with one completion a prompt there is nothing to compare it with, so its reward itself is its "
                    "advantage. Raise it, or set algorithm.advantage: batch");
  return c;
}

TrainerState initial_grpo_state(const config::Config& c) {
  TrainerState state;
  state.stage = "train";
  state.fixed = {{"algorithm.prompts_per_step", std::to_string(c.algorithm.prompts_per_step)},
                 {"algorithm.group_size", std::to_string(c.algorithm.group_size)},
                 {"algorithm.iterations", std::to_string(c.algorithm.iterations)},
                 {"algorithm.minibatches", std::to_string(c.algorithm.minibatches)}};
  return state;
}

UpdateOptions update_options(const config::Config& c) {
  const auto& a = c.algorithm;
  UpdateOptions options;
  options.objective = objective_of(c);
  options.weights = weights_of(c);
  if (a.adaptive_entropy)
    options.entropy_control = {a.entropy_target, a.entropy_coefficient_min, a.entropy_coefficient_max,
                               a.entropy_coefficient_delta};
  options.seed = static_cast<std::uint64_t>(c.run.seed);
  options.temperature = c.sampler.temperature;
  options.max_completion_length = c.sampler.max_new_tokens;
  options.max_tokens_per_microbatch = a.max_tokens_per_microbatch;
  options.iterations = a.iterations;
  options.minibatches = a.minibatches;
  options.mask_truncated_completions = a.mask_truncated_completions || a.overlong == "mask";
  options.max_grad_norm = c.optimizer.max_grad_norm;
  return options;
}

AdvantageOptions advantage_options(const config::Config& c, const std::vector<WeightedReward>& rewards) {
  AdvantageOptions options = advantage_options(c);
  for (const auto& reward : rewards) options.weights.push_back(reward.weight);
  return options;
}

}  // namespace grpo::train
