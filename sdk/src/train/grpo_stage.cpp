// The GRPO stage. step() is the algorithm; what surrounds it is in step/.
#include <fmt/format.h>

#include "grpo/sdk/train/evaluate.hpp"
#include "grpo/sdk/train/statistics.hpp"
#include "step/draw.hpp"
#include "step/entropy_weight.hpp"
#include "step/kl_weight.hpp"
#include "step/metrics.hpp"
#include "step/renewal.hpp"
#include "step/screen.hpp"
#include "step/settings.hpp"
#include "step/start.hpp"
#include "step/worth.hpp"

namespace grpo::train {
namespace {

class GrpoStage {
 public:
  explicit GrpoStage(const StageSettings& settings)
      : settings_(settings),
        config_(checked_for_grpo(settings.config)),
        run_(settings, initial_grpo_state(config_)),
        session_(config_, settings.plugin_directories, {.sampler = true, .rewards = true, .optimizer = true},
                 run_.resumed().value_or("")),
        prompts_(session_.text(), config_.data.path, data::PromptOptions::of_training(config_), config_.data,
                 config_.data.max_samples, session_.prompt_limit(config_.sampler.max_new_tokens)),
        order_(prompts_.size(), static_cast<std::uint64_t>(config_.run.seed), config_.data.shuffle),
        scorer_(session_.make_scorer(prompts_.column_types())),
        updater_(session_.model(), config_.algorithm.kl_coefficient != 0 ? &session_.reference() : nullptr,
                 session_.optimizer(), update_options(config_)) {
    if (has_evaluation(config_)) evaluator_.emplace(session_);
    renewal_.emplace(config_, session_);
    const auto& a = config_.algorithm;
    total_steps_ = config_.run.max_steps >= 0 ? config_.run.max_steps
                                              : data::steps_of(prompts_.size(), config_.run.epochs, a.prompts_per_step);
    schedule_ = schedule_of(config_, config_.optimizer.learning_rate);
    clock_.learning_rate = [this](std::int64_t step) {
      return algorithm::learning_rate(schedule_, step, total_steps_ * optimizer_steps_per_step());
    };
  }

  StageResult run() {
    run_.start(session_, prompts_.size(), total_steps_);
    run_.plan(total_steps_, data::steps_of(prompts_.size(), 1, config_.algorithm.prompts_per_step));
    renewal_->take_up(run_);
    session_.sampler().update_weights(session_.model(), run_.state().optimizer_steps);
    TrainerState& state = run_.state();
    order_.seek(state.position);
    clock_.done = state.optimizer_steps;
    kl_weight_.pass_on();
    entropy_weight_.pass_on();
    screen_.announce(session_, prompts_, run_, total_steps_, state.step);
    if (state.step == 0) checks_.prompts(*session_.text(), prompts_, order_);
    if (evaluator_ && config_.evaluation.at_start && state.step == 0) evaluate_before_training();
    bool stopped = run_.stopped();
    while (!stopped && run_.go_on(session_, state.step < total_steps_) && state.step < total_steps_) {
      const Timer timer;
      report::Metrics metrics;
      run_.begin_step();
      const Rollout rollout = saved_if_lost([&] { return step(metrics); });
      const bool last = state.step == total_steps_;
      metrics.set("step_time", timer.seconds());
      metrics.set("throughput/end_to_end_tokens_per_second",
                  static_cast<double>(rollout.completion_tokens) / timer.seconds());
      const bool due = evaluation_due_.due(state.step, run_.epoch_before(), run_.epoch());
      if (evaluator_ && (last || due)) saved_if_lost([&] { evaluate(metrics); });
      stopped = run_.stopped();
      if (samples_due(config_, state.step))
        run_.save_samples(saved_samples(rollout, scorer_->rewards(), config_.report.samples));
      run_.report(metrics);
      screen_.step(state.step, metrics, rollout, last);
      checks_.after(state.step, metrics);
      run_.maybe_save(session_, last, stopped);
    }
    if (last_evaluation_) screen_.evaluation("final", *last_evaluation_);
    run_.say_end(total_steps_, stopped);
    return {state.step, run_.last_checkpoint(), stopped && state.step < total_steps_};
  }

 private:
  // One step of GRPO.
  Rollout step(report::Metrics& metrics) {
    TrainerState& state = run_.state();
    const std::int64_t number = state.step + 1;

    Drawn drawn = drawing_.step(number, state.completion_length);
    Rollout& rollout = drawn.rollout;
    if (number == 1) checks_.rollout(rollout, drawing_.reward_names());

    if (advantage_.kl && !drawn.in_pieces) updater_.prepare(rollout.groups);
    const Timer advantage_time;
    AdvantageReport advantages = assign_advantages(rollout.groups, advantage_);
    tell_of_all_drawn(rollout, advantages.statistics);
    const double advantage_seconds = advantage_time.seconds();

    const UpdateReport update = learn(drawn, advantages.statistics);
    const Timer weights;
    session_.sampler().update_weights(session_.model(), clock_.done);
    renewal_->after(number);

    state.step = number;
    state.optimizer_steps = clock_.done;
    state.position = order_.position();
    state.completion_length = mean_completion_length(rollout);
    state.num_tokens += num_tokens(rollout);
    add_metrics(metrics, rollout, advantages.statistics, update);
    kl_weight_.control(metrics, advantages, rollout);
    entropy_weight_.tell(metrics);
    metrics.set("timing/advantage", advantage_seconds);
    metrics.set("timing/weights", weights.seconds());
    return std::move(rollout);
  }

  // A step without anything to learn from takes its place in the learning rate's schedule all the same.
  UpdateReport learn(Drawn& drawn, const algorithm::AdvantageStatistics& statistics) {
    if (!worth_training_(run_.state().step + 1, drawn.rollout, statistics)) {
      clock_.done += optimizer_steps_per_step();
      return {};
    }
    if (drawn.in_pieces) return updater_.finish(clock_);
    return updater_.update(drawn.rollout.groups, clock_,
                           [this](double done, double total) { screen_.progress("update", done, total); });
  }

  std::int64_t optimizer_steps_per_step() const { return config_.algorithm.iterations * config_.algorithm.minibatches; }

  // A reward that is lost ends the run, not what it has learnt.
  template <class Work>
  auto saved_if_lost(const Work& work) -> decltype(work()) {
    try {
      return work();
    } catch (const RewardLost&) {
      run_.save_what_there_is(session_);
      throw;
    }
  }

  void add_metrics(report::Metrics& m, const Rollout& rollout, const algorithm::AdvantageStatistics& statistics,
                   const UpdateReport& update) {
    m.set("epoch", order_.epoch());
    add_reward_metrics(statistics, m);
    drawing_.add_metrics(rollout, m);
    add_update_metrics(update, m);
    add_advantage_metrics(statistics, m);
    add_distribution_metrics(rollout, m);
    if (update.skipped_steps) {
      m.set("skipped_steps", static_cast<double>(update.skipped_steps));
      report::log(report::Level::warning, fmt::format("step {}: the gradient is not finite; the weights were left as "
                                                      "they are",
                                                      run_.state().step));
    }
    m.set("num_tokens", static_cast<double>(run_.state().num_tokens));
    add_speed_metrics(rollout, update, m);
    if (const auto mfu = model_flops_utilization(config_, session_.model(), static_cast<double>(update.tokens),
                                                 update.update_seconds))
      m.set("mfu", *mfu);
    add_plugin_metrics(session_, m);
  }

  void evaluate(report::Metrics& metrics) {
    const auto directory = run_.directory() / "eval" / ("step-" + std::to_string(run_.state().step));
    const auto found = evaluator_->run(*scorer_, {settings_.console, settings_.stop, directory});
    if (found.size() == 0) return;  // stopped
    last_evaluation_ = found;
    for (const auto& [name, value] : found) metrics.set(name, value);
  }

  void evaluate_before_training() {
    report::Metrics metrics;
    evaluate(metrics);
    if (!last_evaluation_) return;
    screen_.evaluation("before training", metrics);
    run_.report(metrics);
    last_evaluation_.reset();
  }

  const StageSettings& settings_;
  const config::Config& config_;
  Run run_;
  Session session_;
  PromptSet prompts_;
  data::EpochOrder order_;
  std::unique_ptr<Scorer> scorer_;
  Updater updater_;
  AdvantageOptions advantage_ = advantage_options(config_, scorer_->rewards());
  Screen screen_{settings_.console, config_, scorer_->rewards()};
  Drawing drawing_{config_, {session_, prompts_, order_, *scorer_, updater_, advantage_, screen_}};
  StartChecks checks_{config_};
  WorthTraining worth_training_{config_.algorithm};
  KlWeight kl_weight_{config_.algorithm, advantage_, updater_, run_.state()};
  EntropyWeight entropy_weight_{config_.algorithm, updater_, run_.state()};
  std::optional<Renewal> renewal_;
  std::optional<Evaluator> evaluator_;
  std::optional<report::Metrics> last_evaluation_;
  algorithm::ScheduleOptions schedule_;
  StepClock clock_;
  std::int64_t total_steps_ = 0;
  Cadence evaluation_due_{
      {config_.evaluation.every_steps, config_.evaluation.every_epochs, config_.evaluation.every_seconds}};
};

}  // namespace

StageResult train_stage(const StageSettings& settings) {
  GrpoStage stage(settings);
  return with_its_end_logged([&] { return stage.run(); });
}

}  // namespace grpo::train
