#include "step/start.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/report/console.hpp"

namespace grpo::train {
namespace {

void tell(const Findings& findings) {
  for (const auto& finding : findings) report::log(report::Level::warning, "preflight: " + finding);
}

}  // namespace

void StartChecks::prompts(const ModelText& text, const PromptSet& prompts, data::EpochOrder& order) const {
  if (off()) return;
  std::vector<Prompt> first;
  for (std::int64_t i = 0; i < std::min(prompts.size(), preflight_prompts); ++i)
    first.push_back(prompts.prompt(order.at(order.position() + i)));
  auto findings = check_settings(config_);
  for (auto& finding : check_prompts(config_, text, first)) findings.push_back(std::move(finding));
  const std::int64_t of_a_step = config_.algorithm.prompts_per_step;
  if (prompts.size() < of_a_step)
    findings.push_back(
        fmt::format("a step takes {} prompts (algorithm.prompts_per_step), and the data has {}: some "
                    "come more than once a step",
                    of_a_step, prompts.size()));
  act_on(findings);
}

void StartChecks::rollout(const Rollout& rollout, const std::vector<std::string>& reward_names) const {
  if (!off()) act_on(check_rollout(config_, rollout, reward_names));
}

void StartChecks::after(std::int64_t step, const report::Metrics& metrics) {
  if (!off()) tell(signs_.after(step, metrics));
}

void StartChecks::act_on(const Findings& findings) const {
  tell(findings);
  if (!findings.empty() && config_.run.preflight == "stop")
    throw Error(config_.where("run.preflight") + ": stop: " + findings.front() +
                (findings.size() > 1 ? fmt::format(" (and {} more, above)", findings.size() - 1) : ""));
}

}  // namespace grpo::train
