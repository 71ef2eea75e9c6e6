// The GRPO stage. step() is the algorithm; the rest is what surrounds it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "grpo/sdk/algorithm/kl_control.hpp"
#include "grpo/sdk/data/order.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/train/advantage.hpp"
#include "grpo/sdk/train/collect.hpp"
#include "grpo/sdk/train/dynamic_sampling.hpp"
#include "grpo/sdk/train/evaluate.hpp"
#include "grpo/sdk/train/overlong.hpp"
#include "grpo/sdk/train/preflight.hpp"
#include "grpo/sdk/train/reference.hpp"
#include "grpo/sdk/train/statistics.hpp"
#include "grpo/sdk/train/update.hpp"
#include "pieces.hpp"
#include "run.hpp"

namespace grpo::train {
namespace {

TrainerState initial_grpo_state(const config::Config& c) {
  TrainerState state;
  state.stage = "train";
  state.fixed = {{"run.seed", std::to_string(c.run.seed)},
                 {"data.path", c.data.path.filename().string()},
                 {"data.shuffle", c.data.shuffle ? "true" : "false"},
                 {"algorithm.prompts_per_step", std::to_string(c.algorithm.prompts_per_step)},
                 {"algorithm.group_size", std::to_string(c.algorithm.group_size)},
                 {"algorithm.iterations", std::to_string(c.algorithm.iterations)},
                 {"algorithm.minibatches", std::to_string(c.algorithm.minibatches)},
                 {"optimizer.plugin", c.optimizer.plugin},
                 {"model.plugin", c.model.plugin}};
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

// What cannot train, or hardly: told before anything is loaded.
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
  dynamic_sampling_of(c);
  if (a.group_size == 1 && a.advantage != "batch")
    report::log(report::Level::warning,
                c.where("algorithm.group_size") +
                    ": with one completion a prompt there is nothing to compare it with, so its reward itself is its "
                    "advantage. Raise it, or set algorithm.advantage: batch");
  return c;
}

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
        sampling_(session_.sampling()),
        updater_(session_.model(), config_.algorithm.kl_coefficient != 0 ? &session_.reference() : nullptr,
                 session_.optimizer(), update_options(config_)) {
    if (has_evaluation(config_)) evaluator_.emplace(session_);
    advantage_ = advantage_options(config_);
    for (const auto& r : scorer_->rewards()) advantage_.weights.push_back(r.weight);
    const auto& a = config_.algorithm;
    for (const auto& reward : scorer_->rewards()) reward_names_.push_back(reward.name);
    if (config_.reference.refresh_every_steps > 0) {
      if (&session_.reference() == &session_.model())
        throw Error(config_.where("reference.refresh_every_steps") +
                    ": with model.lora the reference is the base weights, which are not trained, so there is nothing "
                    "to renew; name a model of its own (reference.path), or set it to 0");
      check_can_renew(session_.reference());
    }
    total_steps_ = config_.run.max_steps >= 0 ? config_.run.max_steps
                                              : data::steps_of(prompts_.size(), config_.run.epochs, a.prompts_per_step);
    schedule_ = schedule_of(config_, config_.optimizer.learning_rate);
    clock_.learning_rate = [this, per_step = a.iterations * a.minibatches](std::int64_t step) {
      return algorithm::learning_rate(schedule_, step, total_steps_ * per_step);
    };
  }

  StageResult run() {
    run_.start(session_, prompts_.size(), total_steps_);
    run_.plan(total_steps_, data::steps_of(prompts_.size(), 1, config_.algorithm.prompts_per_step));
    take_up_reference();
    session_.sampler().update_weights(session_.model(), run_.state().optimizer_steps);
    TrainerState& state = run_.state();
    order_.seek(state.position);
    clock_.done = state.optimizer_steps;
    set_kl_coefficient();
    if (config_.algorithm.adaptive_entropy && state.entropy_bonus) updater_.set_entropy_bonus(*state.entropy_bonus);
    announce();
    check_start();
    if (evaluator_ && config_.evaluation.at_start && state.step == 0) evaluate_before_training();
    bool stopped = run_.stopped();
    while (!stopped && run_.go_on(session_, state.step < total_steps_) && state.step < total_steps_) {
      const Timer timer;
      report::Metrics metrics;
      run_.begin_step();
      Rollout rollout = saved_if_lost([&] { return step(metrics); });
      const bool last = state.step == total_steps_;
      finish_metrics(metrics, rollout, timer.seconds());
      const bool due = evaluation_due_.due(state.step, run_.epoch_before(), run_.epoch());
      if (evaluator_ && (last || due)) saved_if_lost([&] { evaluate(metrics); });
      stopped = run_.stopped();
      if (samples_due()) run_.save_samples(saved_samples(rollout, scorer_->rewards(), config_.report.samples));
      run_.report(metrics);
      show(metrics, rollout, last);
      if (config_.run.preflight != "off") tell(signs_.after(state.step, metrics));
      run_.maybe_save(session_, last, stopped);
    }
    if (last_evaluation_) show_evaluation("final", *last_evaluation_);
    run_.say_end(total_steps_, stopped);
    return {state.step, run_.last_checkpoint(), stopped && state.step < total_steps_};
  }

 private:
  // One step of GRPO.
  Rollout step(report::Metrics& metrics) {
    TrainerState& state = run_.state();
    const std::int64_t number = state.step + 1;

    Drawn drawn = draw(number);
    Rollout& rollout = drawn.rollout;
    if (number == 1) preflight([&] { return check_rollout(config_, rollout, reward_names_); });
    if (advantage_.kl && !drawn.in_pieces) updater_.prepare(rollout.groups);
    const Timer advantage_time;
    const AdvantageReport advantages = advantages_of(rollout);
    const double advantage_seconds = advantage_time.seconds();
    const auto& statistics = advantages.statistics;
    UpdateReport update;
    if (!some_reward(rollout, statistics) || !enough_groups(rollout))
      clock_.done += config_.algorithm.iterations * config_.algorithm.minibatches;
    else if (drawn.in_pieces)
      update = updater_.finish(clock_);
    else
      update = updater_.update(rollout.groups, clock_, [this](double done, double total) {
        if (settings_.console) settings_.console->progress("update", done, total);
      });
    const Timer weights;
    session_.sampler().update_weights(session_.model(), clock_.done);

    renew_reference_if_due(number);
    state.step = number;
    state.optimizer_steps = clock_.done;
    state.position = order_.position();
    state.completion_length = mean_completion_length(rollout);
    add_metrics(metrics, rollout, statistics, update);
    control_kl(metrics, advantages, rollout);
    tell_entropy_bonus(metrics);
    metrics.set("timing/advantage", advantage_seconds);
    metrics.set("timing/weights", weights.seconds());
    return std::move(rollout);
  }

  static double mean_completion_length(const Rollout& rollout) {
    std::size_t completions = 0;
    for (const Group* group : all_groups(rollout)) completions += group->samples.size();
    return static_cast<double>(rollout.completion_tokens) / static_cast<double>(std::max<std::size_t>(completions, 1));
  }

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

  // Completions of the next prompts, scored and shaped; more prompts where groups teach nothing.
  struct Drawn {
    Rollout rollout;
    bool in_pieces = false;  // and gone through backward already
  };
  Drawn draw(std::int64_t step) {
    Drawn drawn;
    drawn.rollout = draw_step(sampling_rule_, reward_names_, [&](std::int64_t count, std::int64_t first) {
      auto prompts = next_prompts(count);
      auto options = rollout_options(step);
      options.first = first;
      options.prompts_per_piece = piece_of(prompts);
      drawn.in_pieces = options.prompts_per_piece < prompts.size();
      if (drawn.in_pieces) {
        updater_.begin(static_cast<std::int64_t>(prompts.size()) * config_.algorithm.group_size);
        options.piece_done = [this](std::span<Group> piece) {
          shape_overlong(overlong_, piece);
          if (advantage_.kl) updater_.prepare(piece);
          assign_advantages(piece, advantage_);
          updater_.accumulate(piece);
        };
      }
      Rollout rollout = collect(session_, *scorer_, std::move(prompts), options);
      if (!drawn.in_pieces) shape_overlong(overlong_, rollout.groups);
      return rollout;
    });
    return drawn;
  }

  std::vector<Prompt> next_prompts(std::int64_t count) {
    std::vector<Prompt> prompts;
    for (const auto row : order_.next(count)) prompts.push_back(prompts_.prompt(row));
    return prompts;
  }

  // How many prompts are sampled before they are trained on (pieces.hpp).
  std::size_t piece_of(const std::vector<Prompt>& prompts) {
    const auto& a = config_.algorithm;
    // Which groups are trained on is not known before all are there.
    if (sampling_rule_.keep != DynamicSampling::Keep::all) return prompts.size();
    if (!updater_.can_take_pieces() || !algorithm::of_group_alone(advantage_.kind) || scorer_->wants_whole_batch() ||
        prompts.empty())
      return prompts.size();
    const double seen = run_.state().completion_length;
    double tokens = 0;
    for (const Prompt& prompt : prompts) tokens += static_cast<double>(prompt.ids.size());
    return prompts_per_piece(
        {.prompts = static_cast<std::int64_t>(prompts.size()),
         .group_size = a.group_size,
         .prompt_length = tokens / static_cast<double>(prompts.size()),
         .completion_length = seen > 0 ? seen : static_cast<double>(config_.sampler.max_new_tokens),
         .rollout_tokens = session_.model().info().rollout_tokens});
  }

  // Advantages are of the groups that are trained on; what is told of rewards is of all that were drawn, so that a
  // curve does not depend on the filter.
  AdvantageReport advantages_of(Rollout& rollout) {
    AdvantageReport report = assign_advantages(rollout.groups, advantage_);
    if (rollout.rejected.empty()) return report;
    std::vector<double> rewards;
    std::vector<std::int64_t> start{0};
    for (const Group* group : all_groups(rollout)) {
      for (const Sample& s : group->samples) rewards.push_back(s.reward);
      start.push_back(static_cast<std::int64_t>(rewards.size()));
    }
    algorithm::AdvantageStatistics of_all;
    algorithm::advantages(algorithm::AdvantageKind::none, rewards, start, 0, &of_all);
    auto& statistics = report.statistics;
    statistics.reward_mean = of_all.reward_mean;
    statistics.reward_std = of_all.reward_std;
    statistics.frac_reward_zero_std = of_all.frac_reward_zero_std;
    statistics.zero_std_groups = of_all.zero_std_groups;
    statistics.not_applicable = of_all.not_applicable;
    return report;
  }

  // Whether dynamic sampling has left something to train on.
  bool enough_groups(const Rollout& rollout) {
    const auto groups = static_cast<std::int64_t>(rollout.groups.size());
    if (groups == config_.algorithm.prompts_per_step) return true;
    report::log(
        report::Level::warning,
        fmt::format("step {}: {} of {} prompts have groups worth training on after {} resamples "
                    "(algorithm.max_resamples){}",
                    run_.state().step + 1, groups, rollout.groups.size() + rollout.rejected.size(), rollout.resamples,
                    groups < config_.algorithm.minibatches ? "; the weights were left as they are" : ""));
    return groups >= config_.algorithm.minibatches;
  }

  void renew_reference_if_due(std::int64_t step) {
    const auto& r = config_.reference;
    if (r.refresh_every_steps == 0 || step % r.refresh_every_steps != 0) return;
    renew_reference(session_.reference(), session_.model(), r.mixup_alpha, step);
    reference_renewed_ = true;
  }

  // The reference as the run that is gone on from had it; and every checkpoint from now on has it as it is then.
  void take_up_reference() {
    if (config_.algorithm.kl_coefficient == 0) return;
    if (run_.resumed())
      reference_renewed_ = restore_reference(session_.reference(), *run_.resumed(), run_.state().step);
    run_.also_save([this](const std::filesystem::path& directory) {
      if (reference_renewed_) save_reference(session_.reference(), directory);
    });
  }

  // Preflight, before the first step of a run: on prompts that it is about to use.
  void check_start() {
    if (run_.state().step > 0) return;
    preflight([&] {
      std::vector<Prompt> first;
      for (std::int64_t i = 0; i < std::min(prompts_.size(), preflight_prompts); ++i)
        first.push_back(prompts_.prompt(order_.at(order_.position() + i)));
      auto findings = check_prompts(config_, *session_.text(), first);
      if (prompts_.size() < config_.algorithm.prompts_per_step)
        findings.push_back(
            fmt::format("a step takes {} prompts (algorithm.prompts_per_step), and the data has {}: some "
                        "come more than once a step",
                        config_.algorithm.prompts_per_step, prompts_.size()));
      return findings;
    });
  }

  template <class Check>
  void preflight(const Check& check) {
    if (config_.run.preflight == "off") return;
    const Findings findings = check();
    tell(findings);
    if (!findings.empty() && config_.run.preflight == "stop")
      throw Error(config_.where("run.preflight") + ": stop: " + findings.front() +
                  (findings.size() > 1 ? fmt::format(" (and {} more, above)", findings.size() - 1) : ""));
  }

  void tell(const Findings& findings) {
    for (const auto& finding : findings) report::log(report::Level::warning, "preflight: " + finding);
  }

  RolloutOptions rollout_options(std::int64_t step) {
    RolloutOptions options;
    options.sampling = sampling_;
    options.group_size = config_.algorithm.group_size;
    options.key = grpo_random_key(static_cast<std::uint64_t>(config_.run.seed), static_cast<std::uint64_t>(step));
    options.step = step;
    options.train = true;
    if (settings_.console)
      options.progress = [this](double done, double total) { settings_.console->progress("rollout", done, total); };
    return options;
  }

  // An adaptive coefficient goes on from where the run's state has it.
  void set_kl_coefficient() {
    const auto& state = run_.state();
    if (!state.kl_coefficient) return;
    if (advantage_.kl)
      advantage_.kl->coefficient = *state.kl_coefficient;
    else
      updater_.set_kl_coefficient(*state.kl_coefficient);
  }

  void control_kl(report::Metrics& m, const AdvantageReport& advantages, const Rollout& rollout) {
    const auto& a = config_.algorithm;
    if (advantage_.kl) {
      m.set("kl", advantages.kl);
      m.set("reward_kl_penalty", advantages.penalty);
    }
    if (a.kl_control != "adaptive") return;
    const double now = run_.state().kl_coefficient.value_or(a.kl_coefficient);
    m.set("kl_coefficient", now);
    double samples = 0;
    for (const Group& group : rollout.groups) samples += static_cast<double>(group.samples.size());
    const algorithm::AdaptiveKl control{a.kl_target, a.kl_horizon};
    run_.state().kl_coefficient = control.next(now, m.get("kl", no_value), samples);
    set_kl_coefficient();
  }

  // The weight of the bonus from now on.
  void tell_entropy_bonus(report::Metrics& m) {
    const auto& a = config_.algorithm;
    if (a.adaptive_entropy) run_.state().entropy_bonus = updater_.entropy_bonus();
    if (a.adaptive_entropy || a.entropy_coefficient != 0)
      m.set("entropy_coefficient", a.adaptive_entropy ? updater_.entropy_bonus().coefficient : a.entropy_coefficient);
  }

  // Whether there is anything to learn from. A reward that is down for a step costs that step, one that stays down or
  // never worked ends the run.
  bool some_reward(const Rollout& rollout, const algorithm::AdvantageStatistics& statistics) {
    constexpr int most = 3;
    std::int64_t samples = 0;
    for (const Group* group : all_groups(rollout)) samples += static_cast<std::int64_t>(group->samples.size());
    if (statistics.not_applicable < samples) {
      steps_without_reward_ = 0;
      rewarded_ = true;
      return true;
    }
    const std::string text =
        "step " + std::to_string(run_.state().step + 1) + ": no completion got a reward" +
        (rollout.scores.errors.empty() ? std::string(": every reward said it does not apply; is data.answer_key right?")
                                       : "; the first message: " + rollout.scores.errors.front());
    if (++steps_without_reward_ == most || !rewarded_) throw Error(text);
    report::log(report::Level::warning, text + "; the weights were left as they are");
    return false;
  }

  void add_metrics(report::Metrics& m, const Rollout& rollout, const algorithm::AdvantageStatistics& s,
                   const UpdateReport& update) {
    TrainerState& state = run_.state();
    m.set("epoch", order_.epoch());
    m.set("reward", s.reward_mean);
    m.set("reward_std", s.reward_std);
    m.set("frac_reward_zero_std", s.frac_reward_zero_std);
    add_rollout_metrics(rollout, m);
    add_dynamic_sampling_metrics(sampling_rule_, rollout, m);
    add_overlong_metrics(overlong_, all_groups(rollout), m);
    for (const auto& [name, value] : update.objective.values()) m.set(name, value);
    m.set("grad_norm", update.grad_norm);
    m.set("learning_rate", update.learning_rate);
    m.set("advantage/mean", s.advantage_mean);
    m.set("advantage/std", s.advantage_std);
    add_distribution_metrics(rollout, m);
    if (update.skipped_steps) {
      m.set("skipped_steps", static_cast<double>(update.skipped_steps));
      report::log(report::Level::warning,
                  fmt::format("step {}: the gradient is not finite; the weights were left as they are", state.step));
    }
    for (const Group* group : all_groups(rollout))
      for (const Sample& sample : group->samples)
        state.num_tokens += static_cast<std::int64_t>(group->prompt.ids.size() + sample.ids.size());
    m.set("num_tokens", static_cast<double>(state.num_tokens));
    m.set("timing/rollout", rollout.seconds);
    m.set("timing/reward", rollout.scores.waited);
    m.set("timing/old_logp", update.old_logp_seconds);
    m.set("timing/reference", update.reference_seconds);
    m.set("timing/update", update.update_seconds);
    m.set("timing/optimizer", update.optimizer_seconds);
    const auto rate = [](double tokens, double seconds) { return seconds > 0 ? tokens / seconds : 0; };
    m.set("throughput/rollout_tokens_per_second",
          rate(static_cast<double>(rollout.completion_tokens), rollout.seconds));
    m.set("throughput/update_tokens_per_second", rate(static_cast<double>(update.tokens), update.update_seconds));
    if (const auto mfu = model_flops_utilization(config_, session_.model(), static_cast<double>(update.tokens),
                                                 update.update_seconds))
      m.set("mfu", *mfu);
    add_plugin_metrics(session_, m);
  }

  void finish_metrics(report::Metrics& m, const Rollout& rollout, double seconds) {
    m.set("step_time", seconds);
    m.set("throughput/end_to_end_tokens_per_second", static_cast<double>(rollout.completion_tokens) / seconds);
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
    show_evaluation("before training", metrics);
    run_.report(metrics);
    last_evaluation_.reset();
  }

  void show_evaluation(const std::string& when, const report::Metrics& m) {
    if (!settings_.console) return;
    settings_.console->line(
        fmt::format("evaluation, {}: accuracy {:.1f} % of {:.0f} held-out prompts, mean length {:.1f}, {:.1f}s", when,
                    100 * m.get("eval/accuracy"), m.get("eval/num_questions"), m.get("eval/completions/mean_length"),
                    m.get("timing/eval")));
  }

  static std::string kl_text(const config::AlgorithmConfig& a) {
    if (a.kl_coefficient == 0) return "off";
    return fmt::format("{}{} ({}{})", a.kl_coefficient, a.kl_control == "adaptive" ? " to begin with" : "",
                       a.kl_estimator, a.kl_in_reward ? ", in the reward" : "");
  }

  void announce() {
    if (!settings_.console) return;
    const auto& a = config_.algorithm;
    const auto objective = update_options(config_).objective;
    auto rows = common_settings(config_, session_, prompts_, run_);
    rows.push_back({"objective", fmt::format("{}, advantage {}, clip {}/{}, KL {}", a.objective, a.advantage,
                                             objective.clip_low, objective.clip_high, kl_text(a))});
    rows.push_back(
        {"step", fmt::format("{} prompts x {} completions, up to {} tokens, temperature {}", a.prompts_per_step,
                             a.group_size, config_.sampler.max_new_tokens, config_.sampler.temperature)});
    std::string rewards;
    for (const auto& r : scorer_->rewards())
      rewards += fmt::format("{}{} x {}", rewards.empty() ? "" : ", ", r.name, r.weight);
    rows.push_back({"rewards", rewards});
    settings_.console->settings("GRPO", rows);
    settings_.console->stage(fmt::format("training, {} steps", total_steps_), total_steps_, run_.state().step);
  }

  void show(const report::Metrics& metrics, const Rollout& rollout, bool last) {
    if (!settings_.console) return;
    const std::int64_t step = run_.state().step;
    if (last || step % config_.report.every_steps == 0) settings_.console->step(step, metrics);
    if (metrics.find("eval/accuracy") && !last) show_evaluation(fmt::format("step {}", step), metrics);
    if (samples_due()) show_samples(step, rollout);
  }

  bool samples_due() {
    const auto every = config_.report.samples_every;
    return every > 0 && run_.state().step % every == 0 && config_.report.samples > 0;
  }

  void show_samples(std::int64_t step, const Rollout& rollout) {
    std::vector<report::Sample> samples;
    for (const Group* group : all_groups(rollout)) {
      if (static_cast<std::int64_t>(samples.size()) == config_.report.samples) break;
      const Sample& s = group->samples.front();
      report::Sample shown{group->prompt.text, s.text, group->prompt.ground_truth, s.reward, {}, "length"};
      for (std::size_t r = 0; r < s.scores.size(); ++r)
        shown.scores.emplace_back(scorer_->rewards()[r].name, s.scores[r]);
      if (s.finish == GRPO_FINISH_STOP) shown.finish = "stop";
      if (s.finish == GRPO_FINISH_CANCELLED) shown.finish = "cancelled";
      samples.push_back(std::move(shown));
    }
    settings_.console->samples(step, samples);
  }

  const StageSettings& settings_;
  const config::Config& config_;
  Run run_;
  Session session_;
  PromptSet prompts_;
  data::EpochOrder order_;
  std::unique_ptr<Scorer> scorer_;
  std::shared_ptr<const plugins::Sampling> sampling_;
  const OverlongOptions overlong_ = overlong_of(config_);
  const DynamicSampling sampling_rule_ = dynamic_sampling_of(config_);
  std::vector<std::string> reward_names_;
  Updater updater_;
  AdvantageOptions advantage_;
  std::optional<Evaluator> evaluator_;
  std::optional<report::Metrics> last_evaluation_;
  algorithm::ScheduleOptions schedule_;
  StepClock clock_;
  std::int64_t total_steps_ = 0;
  int steps_without_reward_ = 0;
  bool rewarded_ = false, reference_renewed_ = false;
  HealthSigns signs_;
  Cadence evaluation_due_{
      {config_.evaluation.every_steps, config_.evaluation.every_epochs, config_.evaluation.every_seconds}};
};

}  // namespace

StageResult train_stage(const StageSettings& settings) {
  GrpoStage stage(settings);
  return with_its_end_logged([&] { return stage.run(); });
}

}  // namespace grpo::train
