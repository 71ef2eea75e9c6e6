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
#include "sft_examples.hpp"

namespace grpo::train {
namespace {

TrainerState initial_sft_state(const config::Config& c) {
  TrainerState state;
  state.stage = "sft";
  state.fixed = {{"sft.batch_size", std::to_string(c.sft.batch_size)},
                 {"sft.packing", c.sft.packing ? "true" : "false"}};
  return state;
}

const config::Config& checked_for_sft(const config::Config& c) {
  if (c.data.path.empty()) throw Error(c.where("data.path") + ": not given; name a JSONL file of prompts and answers");
  check_data_file(c, "data.path", c.data.path);
  if (!c.sft.eval_path.empty()) check_data_file(c, "sft.eval_path", c.sft.eval_path);
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
        tokens_of_a_pass_(tokens_of_a_pass(config_.algorithm.max_tokens_per_microbatch, session_.model())),
        max_length_(config_.sft.max_length > 0 ? std::min(config_.sft.max_length, session_.model().info().max_positions)
                                               : session_.model().info().max_positions),
        examples_(session_.text(), config_, config_.data.path, config_.data.max_samples, max_length_),
        order_(examples_.size(), static_cast<std::uint64_t>(config_.run.seed), config_.data.shuffle) {
    if (!config_.sft.eval_path.empty())
      held_out_.emplace(session_.text(), config_, config_.sft.eval_path, -1, max_length_);
    total_steps_ = config_.sft.max_steps >= 0 ? config_.sft.max_steps : steps_by_epochs();
    schedule_ = schedule_of(config_, config_.sft.learning_rate);
  }

  StageResult run() {
    run_.start(session_, examples_.size(), total_steps_);
    run_.plan(total_steps_, data::steps_of(examples_.size(), 1, config_.sft.batch_size));
    TrainerState& state = run_.state();
    order_.seek(state.position);
    announce();
    if (held_out_ && state.step == 0) evaluate_before_training();
    bool stopped = run_.stopped();
    while (!stopped && run_.go_on(session_, state.step < total_steps_) && state.step < total_steps_) {
      const Timer timer;
      report::Metrics metrics;
      run_.begin_step();
      const double tokens = step(metrics);
      metrics.set("step_time", timer.seconds());
      metrics.set("throughput/end_to_end_tokens_per_second", tokens / timer.seconds());
      if (const auto mfu = model_flops_utilization(config_, session_.model(), tokens, metrics.get("step_time")))
        metrics.set("mfu", *mfu);
      add_plugin_metrics(session_, metrics);
      const bool last = state.step == total_steps_;
      const auto every = config_.sft.eval_steps;
      if (held_out_ && (last || (every > 0 && state.step % every == 0))) evaluate(metrics);
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
    const std::vector<Example> examples = next_examples();
    double targets = 0;
    for (const auto& example : examples) targets += static_cast<double>(example.targets);

    session_.model().zero_grad();
    double loss = 0, probability = 0, tokens = 0, done = 0;
    for (const ExampleBatch& batch : batches_of(examples, tokens_of_a_pass_)) {
      std::vector<float> logprob(static_cast<std::size_t>(batch.targets));
      auto ticket = session_.model().forward(batch.forest, 1.0, logprob, {}, /*train=*/true);
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
    if (config_.sft.packing) metrics.set("num_sequences", static_cast<double>(examples.size()));
    metrics.set("grad_norm", norm);
    metrics.set("learning_rate", rate);
    metrics.set("num_tokens", static_cast<double>(state.num_tokens));
    return tokens;
  }

  // Of one step: a number of sequences, or with packing as many as its tokens hold.
  std::vector<Example> next_examples() {
    std::vector<Example> examples;
    if (!config_.sft.packing) {
      for (const auto row : order_.next(config_.sft.batch_size)) examples.push_back(examples_.example(row));
      return examples;
    }
    std::int64_t tokens = 0;
    for (;;) {
      Example next = examples_.example(order_.at(order_.position()));
      tokens += static_cast<std::int64_t>(next.ids.size());
      if (!examples.empty() && tokens > tokens_of_a_step()) return examples;
      examples.push_back(std::move(next));
      order_.seek(order_.position() + 1);
    }
  }

  std::int64_t tokens_of_a_step() const { return config_.sft.batch_size * max_length_; }

  // With packing it depends on every sequence's length.
  std::int64_t steps_by_epochs() {
    const std::int64_t rows = examples_.size();
    if (!config_.sft.packing) return data::steps_of(rows, config_.sft.epochs, config_.sft.batch_size);
    std::vector<std::int64_t> length;
    for (std::int64_t row = 0; row < rows; ++row)
      length.push_back(static_cast<std::int64_t>(examples_.example(row).ids.size()));
    const auto end = static_cast<std::int64_t>(std::ceil(config_.sft.epochs * static_cast<double>(rows)));
    std::int64_t steps = 1, tokens = 0;
    for (std::int64_t position = 0; position < end; ++position) {
      const auto n = length[static_cast<std::size_t>(order_.at(position))];
      if (tokens > 0 && tokens + n > tokens_of_a_step()) ++steps, tokens = 0;
      tokens += n;
    }
    return steps;
  }

  // The loss of held-out rows: a mean over their tokens, as of one great step.
  void evaluate(report::Metrics& metrics) {
    const Timer timer;
    double loss = 0, targets = 0;
    const std::int64_t n = held_out_->size(), at_once = std::max<std::int64_t>(1, config_.sft.batch_size);
    for (std::int64_t first = 0; first < n; first += at_once) {
      std::vector<Example> examples;
      for (std::int64_t i = first; i < std::min(n, first + at_once); ++i) examples.push_back(held_out_->example(i));
      for (const ExampleBatch& batch : batches_of(examples, tokens_of_a_pass_)) {
        std::vector<float> logprob(static_cast<std::size_t>(batch.targets));
        session_.model().forward(batch.forest, 1.0, logprob, {}, /*train=*/false);
        for (const float l : logprob) loss -= static_cast<double>(l);
        targets += static_cast<double>(batch.targets);
      }
      if (settings_.console)
        settings_.console->progress("evaluation", static_cast<double>(std::min(n, first + at_once)),
                                    static_cast<double>(n));
    }
    if (targets > 0) metrics.set("eval/loss", loss / targets);
    metrics.set("timing/eval", timer.seconds());
    if (settings_.console && targets > 0)
      settings_.console->line(fmt::format("held out, step {}: loss {:.4f} over {:.0f} tokens of {} sequences, {:.1f}s",
                                          run_.state().step, loss / targets, targets, n, timer.seconds()));
  }

  void evaluate_before_training() {
    report::Metrics metrics;
    evaluate(metrics);
    run_.report(metrics);
  }

  void announce() {
    if (!settings_.console) return;
    auto rows = common_settings(config_, session_, examples_.prompts(), run_);
    rows.push_back({"step", (config_.sft.packing ? fmt::format("up to {} tokens", tokens_of_a_step())
                                                 : fmt::format("{} sequences", config_.sft.batch_size)) +
                                "; learnt: " + learnt_});
    settings_.console->settings("SFT", rows);
    settings_.console->stage(fmt::format("supervised training, {} steps", total_steps_), total_steps_,
                             run_.state().step);
  }

  const StageSettings& settings_;
  const config::Config& config_;
  std::string learnt_;
  Run run_;
  Session session_;
  std::int64_t tokens_of_a_pass_;
  std::int64_t max_length_;
  SftExamples examples_;
  std::optional<SftExamples> held_out_;
  data::EpochOrder order_;
  algorithm::ScheduleOptions schedule_;
  std::int64_t total_steps_ = 0;
};

}  // namespace

StageResult sft_stage(const StageSettings& settings) {
  SftStage stage(settings);
  return with_its_end_logged([&] { return stage.run(); });
}

}  // namespace grpo::train
