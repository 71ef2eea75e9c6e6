#include "step/screen.hpp"

#include <fmt/format.h>

#include "grpo/sdk/train/statistics.hpp"
#include "grpo/sdk/train/update.hpp"

namespace grpo::train {
namespace {

std::string kl_text(const config::AlgorithmConfig& a) {
  if (a.kl_coefficient == 0) return "off";
  return fmt::format("{}{} ({}{})", a.kl_coefficient, a.kl_control == "adaptive" ? " to begin with" : "",
                     a.kl_estimator, a.kl_in_reward ? ", in the reward" : "");
}

}  // namespace

void Screen::announce(Session& session, const PromptSet& prompts, const Run& run, std::int64_t total_steps,
                      std::int64_t steps_done) {
  if (!console_) return;
  const auto& a = config_.algorithm;
  const auto objective = objective_of(config_);
  auto rows = common_settings(config_, session, prompts, run);
  rows.push_back({"objective", fmt::format("{}, advantage {}, clip {}/{}, KL {}", a.objective, a.advantage,
                                           objective.clip_low, objective.clip_high, kl_text(a))});
  rows.push_back(
      {"step", fmt::format("{} prompts x {} completions, up to {} tokens, temperature {}", a.prompts_per_step,
                           a.group_size, config_.sampler.max_new_tokens, config_.sampler.temperature)});
  std::string rewards;
  for (const auto& r : rewards_) rewards += fmt::format("{}{} x {}", rewards.empty() ? "" : ", ", r.name, r.weight);
  rows.push_back({"rewards", rewards});
  console_->settings("GRPO", rows);
  console_->stage(fmt::format("training, {} steps", total_steps), total_steps, steps_done);
}

void Screen::step(std::int64_t step, const report::Metrics& metrics, const Rollout& rollout, bool last) {
  if (!console_) return;
  if (last || step % config_.report.every_steps == 0) console_->step(step, metrics);
  if (metrics.find("eval/accuracy") && !last) evaluation(fmt::format("step {}", step), metrics);
  if (samples_due(config_, step)) samples(step, rollout);
}

void Screen::evaluation(const std::string& when, const report::Metrics& m) {
  if (!console_) return;
  console_->line(
      fmt::format("evaluation, {}: accuracy {:.1f} % of {:.0f} held-out prompts, mean length {:.1f}, {:.1f}s", when,
                  100 * m.get("eval/accuracy"), m.get("eval/num_questions"), m.get("eval/completions/mean_length"),
                  m.get("timing/eval")));
}

void Screen::progress(const char* what, double done, double total) {
  if (console_) console_->progress(what, done, total);
}

void Screen::samples(std::int64_t step, const Rollout& rollout) {
  std::vector<report::Sample> samples;
  for (const Group* group : all_groups(rollout)) {
    if (static_cast<std::int64_t>(samples.size()) == config_.report.samples) break;
    const Sample& s = group->samples.front();
    report::Sample shown{group->prompt.text, s.text, group->prompt.ground_truth, s.reward, {}, finish_name(s.finish)};
    for (std::size_t r = 0; r < s.scores.size(); ++r) shown.scores.emplace_back(rewards_[r].name, s.scores[r]);
    samples.push_back(std::move(shown));
  }
  console_->samples(step, samples);
}

bool samples_due(const config::Config& config, std::int64_t step) {
  const auto every = config.report.samples_every;
  return every > 0 && step % every == 0 && config.report.samples > 0;
}

}  // namespace grpo::train
