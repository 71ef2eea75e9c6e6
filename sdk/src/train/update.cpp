#include "grpo/sdk/train/update.hpp"

#include <grpo/base.h>
#include <grpo/random.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "grpo/sdk/config/config.hpp"
#include "grpo/sdk/error.hpp"
#include "token_weights.hpp"

namespace grpo::train {

algorithm::ObjectiveOptions objective_of(const config::Config& c) {
  const auto& a = c.algorithm;
  algorithm::ObjectiveOptions objective = algorithm::objective_options(a.objective);
  // An objective has clips of its own (gspo's are a thousand times smaller); only what was asked for replaces them.
  const auto given = [&c](const char* key) { return c.origin(key).kind != config::Origin::Kind::built_in; };
  if (given("algorithm.clip_low")) objective.clip_low = a.clip_low;
  if (given("algorithm.clip_high")) objective.clip_high = a.clip_high;
  if (a.delta > 0) objective.delta = a.delta;
  if (!a.aggregation.empty()) objective.aggregation = algorithm::aggregation(a.aggregation);
  if (!a.ratio.empty()) objective.ratio = algorithm::ratio_level(a.ratio);
  objective.cispo_min_ratio = a.cispo_min_ratio;
  objective.cispo_max_ratio = a.cispo_max_ratio;
  objective.sapo_temperature_positive = a.sapo_temperature_positive;
  objective.sapo_temperature_negative = a.sapo_temperature_negative;
  objective.vespo_k_positive = a.vespo_k_positive;
  objective.vespo_lambda_positive = a.vespo_lambda_positive;
  objective.vespo_k_negative = a.vespo_k_negative;
  objective.vespo_lambda_negative = a.vespo_lambda_negative;
  objective.clip_cov_ratio = a.clip_cov_ratio;
  objective.clip_cov_low = a.clip_cov_low;
  objective.clip_cov_high = a.clip_cov_high;
  objective.kl_cov_ratio = a.kl_cov_ratio;
  objective.kl_cov_coefficient = a.kl_cov_coefficient;
  objective.dro_beta = a.dro_beta;
  objective.kl_coefficient = a.kl_in_reward ? 0 : a.kl_coefficient;
  objective.kl_estimator = algorithm::kl_estimator(a.kl_estimator);
  objective.kl_bias_correction = a.kl_bias_correction;
  objective.entropy_coefficient = a.entropy_coefficient;
  return objective;
}

WeightOptions weights_of(const config::Config& c) {
  const auto& a = c.algorithm;
  WeightOptions weights;
  if (a.rollout_correction != "none") weights.correction = algorithm::rollout_correction(a.rollout_correction);
  if (a.rollout_correction_min > 0) weights.correction_min = a.rollout_correction_min;
  if (a.rollout_correction_max > 0) weights.correction_max = a.rollout_correction_max;
  weights.normalize_correction = a.rollout_correction_normalize;
  weights.old_from_sampler = a.old_logprobs == "sampler";
  weights.off_policy_threshold = a.off_policy_mask_threshold;
  weights.top_entropy_quantile = a.top_entropy_quantile;
  try {
    weights.rejection = algorithm::rejection_criteria(a.rollout_rejection, a.rollout_rejection_threshold);
  } catch (const Error& error) {
    throw Error(c.where("algorithm.rollout_rejection_threshold") + ": " + error.what());
  }
  return weights;
}

namespace {

using Clock = std::chrono::steady_clock;

// Adds the time it lives to a sum.
class Stopwatch {
 public:
  explicit Stopwatch(double& sum) : sum_(sum), start_(Clock::now()) {}
  ~Stopwatch() { sum_ += std::chrono::duration<double>(Clock::now() - start_).count(); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& sum_;
  Clock::time_point start_;
};

// The k-th of n parts of the groups, whole groups, as even as they come.
std::vector<Group*> part_of(std::span<Group> groups, std::int64_t k, std::int64_t n) {
  std::vector<Group*> part;
  const auto total = static_cast<std::int64_t>(groups.size());
  for (std::int64_t i = total * k / n; i < total * (k + 1) / n; ++i)
    part.push_back(&groups[static_cast<std::size_t>(i)]);
  return part;
}

// Log-probabilities of all completion tokens by `model`, into the member of each sample that `field` names.
void score_tokens(plugins::Model& model, bool base, std::span<Group* const> groups, const UpdateOptions& options,
                  std::vector<float> Sample::*field) {
  for (const MicroBatch& batch : cut_into_microbatches(groups, options.max_tokens_per_microbatch)) {
    std::vector<float> logprob(static_cast<std::size_t>(batch.targets));
    if (base)
      model.forward_base(batch.forest(), options.temperature, logprob);
    else
      model.forward(batch.forest(), options.temperature, logprob, {}, /*train=*/false);
    const float* at = logprob.data();
    for (Sample* s : batch.samples()) {
      (s->*field).assign(at, at + s->ids.size());
      at += s->ids.size();
    }
  }
}

// verl leaves weights alone whose mean is next to nothing.
double factor_to_mean_one(double mean) { return mean > 1e-8 ? 1 / mean : 1; }

bool counts_for_bonus(const Columns& columns, const TokenWeights& weights, std::size_t token) {
  const auto& mask = weights.entropy_mask.empty() ? columns.mask : weights.entropy_mask;
  return mask.empty() || mask[token] != 0;
}

}  // namespace

Updater::Updater(plugins::Model& model, plugins::Model* reference, plugins::Optimizer& optimizer, UpdateOptions options)
    : model_(model), reference_(reference), optimizer_(optimizer), options_(std::move(options)) {
  options_.max_tokens_per_microbatch = tokens_of_a_pass(options_.max_tokens_per_microbatch, model_);
  algorithm::check(options_.objective);
  if (options_.objective.kl_coefficient != 0 && !reference_)
    throw Error("algorithm.kl_coefficient is not 0, but there is no reference model");
  const bool bonus = options_.objective.entropy_coefficient != 0 || options_.entropy_control;
  if (bonus && !model_.can(GRPO_MODEL_ENTROPY))
    throw Error(model_.component().label() +
                ": gives no entropy, so algorithm.entropy_coefficient must be 0 with this model");
  if (options_.entropy_control) set_entropy_bonus({.coefficient = options_.objective.entropy_coefficient});
  if (options_.weights.top_entropy_quantile < 1 && !model_.can(GRPO_MODEL_ENTROPY))
    throw Error(model_.component().label() +
                ": gives no entropy, so algorithm.top_entropy_quantile must be 1 with this model");
}

void Updater::set_kl_coefficient(double coefficient) { options_.objective.kl_coefficient = coefficient; }

void Updater::set_entropy_bonus(const algorithm::EntropyBonus& bonus) {
  entropy_bonus_ = bonus;
  options_.objective.entropy_coefficient = options_.entropy_control->applied(bonus);
}

algorithm::Normalizer Updater::normalizer_of(std::span<Group* const> groups) const {
  algorithm::Normalizer n;
  n.max_completion_length = static_cast<double>(options_.max_completion_length);
  for (const Group* group : groups)
    for (const Sample& s : group->samples) {
      n.rows += 1;
      n.tokens += static_cast<double>(tokens_in_loss(s, options_));
    }
  return n;
}

void Updater::prepare(std::span<Group> groups) {
  if (!reference_) throw Error("a KL in the reward needs a reference model");
  UpdateReport report;
  std::vector<Group*> all;
  for (Group& group : groups) all.push_back(&group);
  fill_old_logprobs(all, report);
  fill_reference_logprobs(all, report);
  prepared_ = true;
  prepare_old_seconds_ += report.old_logp_seconds;
  prepare_reference_seconds_ += report.reference_seconds;
}

// What all tokens of the optimizer step say together, by a pass of its own.
void Updater::survey(std::span<const MicroBatch> batches, UpdateReport& report) {
  const Stopwatch watch(report.old_logp_seconds);
  Surveyor surveyor(options_);
  for (const MicroBatch& batch : batches) {
    const auto n = static_cast<std::size_t>(batch.targets);
    std::vector<float> logprob(n), entropy(model_.can(GRPO_MODEL_ENTROPY) ? n : 0);
    model_.forward(batch.forest(), options_.temperature, logprob, entropy, /*train=*/false);
    surveyor.add(batch, logprob, entropy);
  }
  survey_ = std::make_shared<const Survey>(surveyor.finish(draw_key_));
}

void Updater::fill_old_logprobs(std::span<Group* const> groups, UpdateReport& report) {
  const Stopwatch watch(report.old_logp_seconds);
  score_tokens(model_, false, groups, options_, &Sample::old_logprob);
}

void Updater::fill_reference_logprobs(std::span<Group* const> groups, UpdateReport& report) {
  const Stopwatch watch(report.reference_seconds);
  score_tokens(*reference_, reference_ == &model_ && model_.can(GRPO_MODEL_ADAPTED), groups, options_,
               &Sample::reference_logprob);
}

bool Updater::take_prepared(UpdateReport& report) {
  report.old_logp_seconds += std::exchange(prepare_old_seconds_, 0);
  report.reference_seconds += std::exchange(prepare_reference_seconds_, 0);
  return std::exchange(prepared_, false);
}

UpdateReport Updater::update(std::span<Group> groups, StepClock& clock,
                             const std::function<void(double, double)>& progress) {
  if (static_cast<std::int64_t>(groups.size()) < options_.minibatches)
    throw Error("algorithm.minibatches: " + std::to_string(options_.minibatches) +
                " optimizer steps cannot share the " + std::to_string(groups.size()) +
                " prompts of a step; lower it, or raise algorithm.prompts_per_step");
  UpdateReport report;
  report.learning_rate = clock.learning_rate(clock.done);
  std::vector<Group*> all;
  for (Group& group : groups) all.push_back(&group);
  check_sampled(options_, groups);
  const bool prepared = take_prepared(report);
  const bool own_old = !prepared && !options_.weights.old_from_sampler;
  const bool normalize = options_.weights.correction && options_.weights.normalize_correction;
  const bool old_first = options_.minibatches > 1 || normalize || rejects_once(options_);
  if (old_first && own_old) fill_old_logprobs(all, report);
  if (rejects_once(options_)) reject_tokens(options_, all, report.rejection);
  if (normalize) correction_factor_ = factor_to_mean_one(mean_correction(all));
  if (options_.objective.kl_coefficient != 0 && !prepared) fill_reference_logprobs(all, report);
  // With one minibatch and several iterations the first pass gives the old log-probabilities.
  const bool keep_first_logprob = options_.iterations > 1 && own_old && !old_first;

  const double total = static_cast<double>(options_.iterations * options_.minibatches);
  double done = 0, loss = 0, policy_loss = 0, norm = 0;
  for (std::int64_t iteration = 0; iteration < options_.iterations; ++iteration)
    for (std::int64_t k = 0; k < options_.minibatches; ++k, ++done) {
      const auto part = part_of(groups, k, options_.minibatches);
      const auto normalizer = normalizer_of(part);
      draw_key_ = grpo_random_key(options_.seed, static_cast<std::uint64_t>(clock.done));
      zero_grad(report);
      const bool learned = normalizer.tokens > 0 &&
                           pass_all(part, normalizer, keep_first_logprob && iteration == 0, report, [&](double share) {
                             if (progress) progress(done + share, total);
                           });
      if (!learned) {  // the schedule goes on
        ++clock.done;
        continue;
      }
      optimizer_step(clock, 1, report);
      loss += report.objective.loss, policy_loss += report.objective.policy_loss, norm += report.grad_norm;
      report.objective.loss = report.objective.policy_loss = 0;
    }
  const auto steps = static_cast<double>(std::max<std::int64_t>(1, report.optimizer_steps + report.skipped_steps));
  report.objective.loss = loss / steps;
  report.objective.policy_loss = policy_loss / steps;
  report.grad_norm = norm / steps;
  return report;
}

bool Updater::can_take_pieces() const {
  const auto& o = options_.objective;
  // Each piece is divided by the same number, which is right in the end up to a factor: one for all terms of the loss,
  // and an entropy bonus is divided by tokens always.
  return options_.iterations == 1 && options_.minibatches == 1 &&
         (o.entropy_coefficient == 0 || o.aggregation == algorithm::Aggregation::token_mean) &&
         !options_.weights.normalize_correction && !rejects_once(options_) && !needs_survey(options_);
}

void Updater::begin(std::int64_t completions) {
  report_ = {};
  assumed_ = {};
  assumed_.rows = static_cast<double>(completions);
  assumed_.max_completion_length = static_cast<double>(options_.max_completion_length);
  // How many tokens there will be is not known yet.
  assumed_.tokens = static_cast<double>(completions * std::max<std::int64_t>(1, options_.max_completion_length));
  tokens_ = 0;
  learned_ = false;
  zero_grad(report_);
}

void Updater::accumulate(std::span<Group> groups) {
  std::vector<Group*> part;
  for (Group& group : groups) part.push_back(&group);
  check_sampled(options_, groups);
  const bool prepared = take_prepared(report_);
  if (options_.objective.kl_coefficient != 0 && !prepared) fill_reference_logprobs(part, report_);
  const double tokens = normalizer_of(part).tokens;
  tokens_ += tokens;
  if (tokens > 0 && pass_all(part, assumed_, false, report_, nullptr)) learned_ = true;
}

UpdateReport Updater::finish(StepClock& clock) {
  report_.learning_rate = clock.learning_rate(clock.done);
  if (!learned_) {
    ++clock.done;
    return report_;
  }
  const bool by_tokens = options_.objective.aggregation == algorithm::Aggregation::token_mean;
  const double factor = by_tokens ? assumed_.tokens / tokens_ : 1;
  optimizer_step(clock, factor, report_);
  report_.objective.loss *= factor;
  report_.objective.policy_loss *= factor;
  return report_;
}

// Groups that push the weights, and those that do not: without an advantage only KL, entropy and what pulls a token
// back to where it was would. The others stay in the normalizer and in the metrics.
std::pair<std::vector<Group*>, std::vector<Group*>> Updater::split(const std::vector<Group*>& groups) const {
  const bool all = options_.objective.kl_coefficient != 0 || options_.objective.entropy_coefficient != 0 ||
                   options_.objective.covariance == algorithm::CovarianceControl::kl ||
                   options_.objective.term == algorithm::PolicyTerm::dro;
  std::pair<std::vector<Group*>, std::vector<Group*>> parts;
  for (Group* group : groups) {
    const auto pushes = [&](const Sample& s) {
      const bool by_token =
          std::any_of(s.token_advantage.begin(), s.token_advantage.end(), [](double a) { return a != 0; });
      return (s.advantage != 0 || by_token) && tokens_in_loss(s, options_) > 0;
    };
    (all || std::any_of(group->samples.begin(), group->samples.end(), pushes) ? parts.first : parts.second)
        .push_back(group);
  }
  return parts;
}

// Of the rollout correction's weights after their bounds, over the whole step.
double Updater::mean_correction(std::span<Group* const> groups) const {
  algorithm::Mean mean;
  for (const MicroBatch& batch : cut_into_microbatches(groups, options_.max_tokens_per_microbatch)) {
    const Columns columns(batch, options_);
    const auto kind = *options_.weights.correction;
    const auto ratio = correction_of(options_, columns, columns.old_logprob);
    for (const double one : algorithm::ratios_to_tell(kind, columns.start, ratio, columns.sampled_mask)) mean.add(one);
  }
  return mean.value();
}

void Updater::zero_grad(UpdateReport& report) {
  const Stopwatch watch(report.update_seconds);
  model_.zero_grad();
}

// The passes of one optimizer step, or of a piece of it, added to the gradient. False: there is no token in it.
bool Updater::pass_all(const std::vector<Group*>& groups, const algorithm::Normalizer& normalizer, bool keep_logprob,
                       UpdateReport& report, const std::function<void(double)>& progress) {
  const auto [heard, unheard] = split(groups);
  const auto batches = cut_into_microbatches(heard, options_.max_tokens_per_microbatch);
  const auto silent = cut_into_microbatches(unheard, options_.max_tokens_per_microbatch);
  const auto passes = static_cast<double>(batches.size() + silent.size());
  survey_.reset();
  if (needs_survey(options_) && passes > 1)  // one batch tells all by its own pass
    survey(cut_into_microbatches(groups, options_.max_tokens_per_microbatch), report);
  const Stopwatch watch(report.update_seconds);
  double passed = 0;
  const auto run = [&](const MicroBatch& batch, bool train) {
    pass(batch, normalizer, train, keep_logprob, report);
    if (progress) progress(++passed / passes);
  };
  for (const MicroBatch& batch : batches) run(batch, true);
  for (const MicroBatch& batch : silent) run(batch, false);
  return passes > 0;
}

// Forward, objective and, if it trains, backward of one micro batch.
void Updater::pass(const MicroBatch& batch, algorithm::Normalizer normalizer, bool train, bool keep_logprob,
                   UpdateReport& report) {
  const Columns columns(batch, options_);
  const auto n = static_cast<std::size_t>(batch.targets);
  std::vector<float> logprob(n), entropy(model_.can(GRPO_MODEL_ENTROPY) ? n : 0), dlogprob(n),
      dentropy(options_.objective.entropy_coefficient != 0 ? n : 0);

  auto ticket = model_.forward(batch.forest(), options_.temperature, logprob, entropy, train);
  if (needs_survey(options_) && !survey_) {
    Surveyor surveyor(options_);
    surveyor.add(batch, logprob, entropy);
    survey_ = std::make_shared<const Survey>(surveyor.finish(draw_key_));
  }
  if (survey_) normalizer.entropy_tokens = survey_->entropy_tokens;
  TokenWeights weights(options_, batch, columns, logprob, entropy, survey_.get(), report);
  if (correction_factor_ != 1) weights.scale(correction_factor_);
  const auto result = algorithm::evaluate<float>(options_.objective,
                                                 {.start = columns.start,
                                                  .logprob = logprob,
                                                  .old_logprob = columns.old_logprob,
                                                  .reference_logprob = columns.reference_logprob,
                                                  .sampled_logprob = columns.sampled_logprob,
                                                  .entropy = entropy,
                                                  .mask = columns.mask,
                                                  .advantage = columns.advantage,
                                                  .token_advantage = columns.token_advantage,
                                                  .policy_weight = weights.policy_weight,
                                                  .importance_ratio = weights.importance_ratio,
                                                  .entropy_mask = weights.entropy_mask,
                                                  .covariance_tokens = weights.covariance_tokens,
                                                  .covariance_key = 0},
                                                 normalizer, dlogprob, dentropy);
  report.objective.merge(result.metrics);
  if (options_.entropy_control)
    for (std::size_t t = 0; t < n; ++t)
      if (counts_for_bonus(columns, weights, t)) entropy_.add(static_cast<double>(entropy[t]));
  if (keep_logprob) {
    const float* at = logprob.data();
    for (Sample* s : batch.samples()) s->old_logprob.assign(at, at + s->ids.size()), at += s->ids.size();
  }
  if (!train) return;
  model_.backward(std::move(ticket), dlogprob, dentropy);
  report.tokens += batch.tokens;
  ++report.microbatches;
}

void Updater::optimizer_step(StepClock& clock, double factor, UpdateReport& report) {
  report.learning_rate = clock.learning_rate(clock.done);
  const auto start = Clock::now();
  report.grad_norm = apply_gradients(model_, optimizer_, clock.done + 1, report.learning_rate, options_.max_grad_norm,
                                     clock.done + 1, factor);
  report.optimizer_seconds += std::chrono::duration<double>(Clock::now() - start).count();
  ++clock.done;
  ++(std::isfinite(report.grad_norm) ? report.optimizer_steps : report.skipped_steps);
  if (options_.entropy_control)
    set_entropy_bonus(options_.entropy_control->next(entropy_bonus_, std::exchange(entropy_, {}).value()));
}

double apply_gradients(plugins::Model& model, plugins::Optimizer& optimizer, std::int64_t step, double learning_rate,
                       double max_grad_norm, std::int64_t version, double factor) {
  const double norm = factor * std::sqrt(optimizer.squared_norm());
  if (!std::isfinite(norm)) return norm;
  optimizer.step(step, learning_rate, factor * algorithm::gradient_scale(norm, max_grad_norm));
  model.commit(version);
  return norm;
}

}  // namespace grpo::train
