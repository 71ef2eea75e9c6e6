// The SFT stage: the mean negative log-likelihood of given completions, over the tokens of the whole optimizer step. It
// uses a model exactly as GRPO does: log-probabilities out, their derivatives in.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "grpo/sdk/data/order.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/train/microbatch.hpp"
#include "grpo/sdk/train/update.hpp"
#include "run.hpp"

namespace grpo::train {
namespace {

TrainerState initial_sft_state(const config::Config& c) {
  TrainerState state;
  state.stage = "sft";
  state.fixed = {{"run.seed", std::to_string(c.run.seed)},
                 {"data.path", c.data.path.filename().string()},
                 {"data.shuffle", c.data.shuffle ? "true" : "false"},
                 {"sft.batch_size", std::to_string(c.sft.batch_size)},
                 {"optimizer.plugin", c.optimizer.plugin},
                 {"model.plugin", c.model.plugin}};
  return state;
}

// What is learnt, for people; also checks that something is.
std::string what_is_learnt(const config::Config& c) {
  if (!c.sft.completion_key.empty()) return "the column '" + c.sft.completion_key + "'";
  if (!c.data.messages_key.empty()) return "the last message of '" + c.data.messages_key + "'";
  if (!c.data.answer_key.empty()) return "the column '" + c.data.answer_key + "'";
  throw Error(c.where("sft.completion_key") +
              ": not given, and data.answer_key neither: which column is to be learnt?");
}

const config::Config& checked_for_sft(const config::Config& c) {
  if (c.data.path.empty()) throw Error(c.where("data.path") + ": not given; name a JSONL file of prompts and answers");
  check_data_file(c, "data.path", c.data.path);
  return c;
}

class SftStage {
 public:
  explicit SftStage(const StageSettings& settings)
      : settings_(settings),
        config_(checked_for_sft(settings.config)),
        learnt_(what_is_learnt(config_)),
        run_(settings, initial_sft_state(config_)),
        session_(config_, settings.plugin_directories, {.optimizer = true}, run_.resumed().value_or("")),
        max_length_(config_.sft.max_length > 0 ? std::min(config_.sft.max_length, session_.model().info().max_positions)
                                               : session_.model().info().max_positions),
        prompts_(session_.text(), config_.data.path, data::PromptOptions::of_sft(config_), config_.data,
                 config_.data.max_samples, max_length_ - 1),
        order_(prompts_.size(), static_cast<std::uint64_t>(config_.run.seed), config_.data.shuffle) {
    total_steps_ = config_.sft.max_steps >= 0
                       ? config_.sft.max_steps
                       : data::steps_of(prompts_.size(), config_.sft.epochs, config_.sft.batch_size);
    schedule_ = schedule_of(config_, config_.sft.learning_rate);
  }

  StageResult run() {
    run_.start(session_, prompts_.size(), total_steps_);
    TrainerState& state = run_.state();
    order_.seek(state.position);
    announce();
    bool stopped = run_.stopped();
    while (!stopped && run_.go_on(session_, state.step < total_steps_) && state.step < total_steps_) {
      const Timer timer;
      report::Metrics metrics;
      const double tokens = step(metrics);
      metrics.set("step_time", timer.seconds());
      metrics.set("throughput/end_to_end_tokens_per_second", tokens / timer.seconds());
      if (const auto mfu = model_flops_utilization(config_, session_.model(), tokens, metrics.get("step_time")))
        metrics.set("mfu", *mfu);
      add_plugin_metrics(session_, metrics);
      const bool last = state.step == total_steps_;
      stopped = run_.stopped();
      run_.report(metrics);
      if (settings_.console && (last || state.step % config_.report.every_steps == 0))
        settings_.console->sft_step(state.step, metrics);
      run_.maybe_save(session_, last, stopped);
    }
    run_.say_end(total_steps_, stopped);
    return {state.step, run_.last_checkpoint(), stopped && state.step < total_steps_};
  }

 private:
  // One optimizer step. Returns the tokens that went through the model.
  double step(report::Metrics& metrics) {
    TrainerState& state = run_.state();
    std::vector<Group> groups;
    double targets = 0;
    for (const auto row : order_.next(config_.sft.batch_size)) {
      groups.push_back(example(row));
      targets += static_cast<double>(groups.back().samples.front().ids.size());
    }
    std::vector<Group*> all;
    for (Group& group : groups) all.push_back(&group);

    session_.model().zero_grad();
    double loss = 0, probability = 0, tokens = 0, done = 0;
    for (const MicroBatch& batch : cut_into_microbatches(all, config_.algorithm.max_tokens_per_microbatch)) {
      std::vector<float> logprob(static_cast<std::size_t>(batch.targets));
      auto ticket = session_.model().forward(batch.forest(), 1.0, logprob, {}, /*train=*/true);
      const std::vector<float> dlogprob(logprob.size(), static_cast<float>(-1.0 / targets));
      session_.model().backward(std::move(ticket), dlogprob);
      for (const float l : logprob)
        loss -= static_cast<double>(l) / targets, probability += std::exp(static_cast<double>(l)) / targets;
      tokens += static_cast<double>(batch.tokens);
      done += static_cast<double>(batch.targets);
      if (settings_.console) settings_.console->progress("update", done, targets);
    }
    const double rate = algorithm::learning_rate(schedule_, state.optimizer_steps, total_steps_);
    // Without a target there is no gradient: a step would only decay the weights.
    const double norm = targets == 0
                            ? 0
                            : apply_gradients(session_.model(), session_.optimizer(), state.optimizer_steps + 1, rate,
                                              config_.optimizer.max_grad_norm, state.optimizer_steps + 1);
    if (!std::isfinite(norm))
      report::log(
          report::Level::warning,
          fmt::format("step {}: the gradient is not finite; the weights were left as they are", state.step + 1));
    ++state.step;
    ++state.optimizer_steps;
    state.position = order_.position();
    state.num_tokens += static_cast<std::int64_t>(tokens);
    metrics.set("epoch", order_.epoch());
    metrics.set("loss", loss);
    metrics.set("mean_token_probability", probability);
    metrics.set("grad_norm", norm);
    metrics.set("learning_rate", rate);
    metrics.set("num_tokens", static_cast<double>(state.num_tokens));
    return tokens;
  }

  // A prompt with the one completion to learn; it ends with the token that ends a text. When the prompt is learnt too,
  // all of it but the first token, which nothing comes before, joins the completion.
  Group example(std::int64_t row) {
    Group group;
    group.prompt = prompts_.prompt(row);
    Sample sample;
    sample.text = group.prompt.ground_truth;
    sample.ids = session_.text()->tokenizer.encode(sample.text);
    if (const auto eos = session_.text()->tokenizer.eos_id(); eos && (sample.ids.empty() || sample.ids.back() != *eos))
      sample.ids.push_back(*eos);
    const auto room = static_cast<std::size_t>(max_length_) - group.prompt.ids.size();
    if (sample.ids.size() > room) sample.ids.resize(room);
    if (!config_.sft.completion_only_loss) {
      auto& prompt = group.prompt.ids;
      sample.ids.insert(sample.ids.begin(), prompt.begin() + 1, prompt.end());
      prompt.resize(1);
    }
    group.samples.push_back(std::move(sample));
    return group;
  }

  void announce() {
    if (!settings_.console) return;
    auto rows = common_settings(config_, session_, prompts_, run_);
    rows.push_back({"step", fmt::format("{} sequences; learnt: {}{}", config_.sft.batch_size, learnt_,
                                        config_.sft.completion_only_loss ? "" : " and the prompt before it")});
    settings_.console->settings("SFT", rows);
    settings_.console->stage(fmt::format("supervised training, {} steps", total_steps_), total_steps_,
                             run_.state().step);
  }

  const StageSettings& settings_;
  const config::Config& config_;
  std::string learnt_;
  Run run_;
  Session session_;
  std::int64_t max_length_;
  PromptSet prompts_;
  data::EpochOrder order_;
  algorithm::ScheduleOptions schedule_;
  std::int64_t total_steps_ = 0;
};

}  // namespace

StageResult sft(const StageSettings& settings) {
  SftStage stage(settings);
  return with_its_end_logged([&] { return stage.run(); });
}

}  // namespace grpo::train
