#include "token_weights.hpp"

#include <grpo/base.h>

#include <algorithm>
#include <cmath>

#include "grpo/sdk/algorithm/covariance.hpp"
#include "grpo/sdk/algorithm/weights.hpp"
#include "grpo/sdk/error.hpp"

namespace grpo::train {
namespace {

template <class To, class From>
void append(std::vector<To>& to, const std::vector<From>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

std::vector<double> widened(std::span<const float> values) { return {values.begin(), values.end()}; }

bool masked_out(const Sample& s, const UpdateOptions& options) {
  return options.mask_truncated_completions && s.finish != GRPO_FINISH_STOP;
}

}  // namespace

Columns::Columns(const MicroBatch& batch, const UpdateOptions& options) : start(batch.starts()) {
  bool old = true, reference = true, sampled = false, masked = false, rejected = false, by_token = false;
  const auto samples = batch.samples();
  const auto old_of = [&](const Sample* s) -> const std::vector<float>& {
    return options.weights.old_from_sampler ? s->logprob : s->old_logprob;
  };
  for (const Sample* s : samples) {
    old = old && old_of(s).size() == s->ids.size();
    reference = reference && s->reference_logprob.size() == s->ids.size();
    sampled = sampled || s->logprob.size() == s->ids.size();
    masked = masked || masked_out(*s, options);
    rejected = rejected || !s->accepted.empty();
    by_token = by_token || !s->token_advantage.empty();
    advantage.push_back(s->advantage);
  }
  // Compared with themselves they would say that the sampler is without fault.
  sampled = sampled && !options.weights.old_from_sampler;
  for (const Sample* s : samples) {
    const std::size_t n = s->ids.size();
    if (old) append(old_logprob, old_of(s));
    if (reference) append(reference_logprob, s->reference_logprob);
    if (sampled && s->logprob.size() == n)
      append(sampled_logprob, s->logprob);
    else if (sampled)
      sampled_logprob.insert(sampled_logprob.end(), n, static_cast<float>(no_value));
    if (masked) sampled_mask.insert(sampled_mask.end(), n, !masked_out(*s, options));
    if (rejected && s->accepted.size() == n)
      append(mask, s->accepted);
    else if (masked || rejected)
      mask.insert(mask.end(), n, !masked_out(*s, options));
    if (by_token && s->token_advantage.size() == n)
      append(token_advantage, s->token_advantage);
    else if (by_token)
      token_advantage.insert(token_advantage.end(), n, s->advantage);
  }
}

std::size_t tokens_in_loss(const Sample& sample, const UpdateOptions& options) {
  if (masked_out(sample, options)) return 0;
  const auto rejected = std::count(sample.accepted.begin(), sample.accepted.end(), 0);
  return sample.ids.size() - static_cast<std::size_t>(rejected);
}

bool rejects_once(const UpdateOptions& options) {
  return !options.weights.rejection.empty() && !options.weights.old_from_sampler;
}

void reject_tokens(const UpdateOptions& options, std::span<Group* const> groups, algorithm::RejectionMetrics& metrics) {
  std::vector<Sample*> samples;
  std::vector<std::int64_t> start = {0};
  std::vector<double> old, sampled;
  for (Group* group : groups)
    for (Sample& s : group->samples) {
      s.accepted.clear();
      if (tokens_in_loss(s, options) == 0) continue;
      samples.push_back(&s);
      start.push_back(start.back() + static_cast<std::int64_t>(s.ids.size()));
      old.insert(old.end(), s.old_logprob.begin(), s.old_logprob.end());
      sampled.insert(sampled.end(), s.logprob.begin(), s.logprob.end());
      sampled.resize(old.size(), no_value);  // where nothing is known
    }
  const auto accepted = algorithm::accepted_tokens(options.weights.rejection, start, old, sampled, {}, &metrics);
  for (std::size_t i = 0; i < samples.size(); ++i)
    samples[i]->accepted.assign(accepted.begin() + start[i], accepted.begin() + start[i + 1]);
}

bool needs_survey(const UpdateOptions& options) {
  return options.weights.top_entropy_quantile < 1 || options.objective.covariance != algorithm::CovarianceControl::none;
}

void Surveyor::add(const MicroBatch& batch, std::span<const float> logprob, std::span<const float> entropy) {
  const Columns columns(batch, options_);
  append(samples_, batch.samples());
  logprob_.insert(logprob_.end(), logprob.begin(), logprob.end());
  entropy_.insert(entropy_.end(), entropy.begin(), entropy.end());
  append(old_logprob_,
         columns.old_logprob.empty() ? std::vector<float>(logprob.begin(), logprob.end()) : columns.old_logprob);
  append(mask_, columns.mask.empty() ? std::vector<std::uint8_t>(columns.tokens(), 1) : columns.mask);
  for (std::size_t row = 0; row + 1 < columns.start.size(); ++row)
    for (auto t = static_cast<std::size_t>(columns.start[row]); t < static_cast<std::size_t>(columns.start[row + 1]);
         ++t)
      advantage_.push_back(columns.token_advantage.empty() ? columns.advantage[row] : columns.token_advantage[t]);
}

Survey Surveyor::finish(std::uint64_t key) const {
  Survey survey;
  if (options_.weights.top_entropy_quantile < 1) {
    survey.entropy_threshold = algorithm::entropy_quantile(entropy_, mask_, 1 - options_.weights.top_entropy_quantile);
    const auto top = algorithm::top_entropy_mask(entropy_, mask_, survey.entropy_threshold);
    survey.entropy_tokens = static_cast<double>(std::count(top.begin(), top.end(), 1));
  }
  if (options_.objective.covariance == algorithm::CovarianceControl::none) return survey;
  const auto chosen =
      algorithm::covariance_tokens(options_.objective, {logprob_, old_logprob_, advantage_, mask_, key});
  auto at = chosen.begin();
  for (const Sample* s : samples_) {
    const auto end = at + static_cast<std::ptrdiff_t>(s->ids.size());
    survey.covariance_tokens[s].assign(at, end);
    at = end;
  }
  return survey;
}

std::vector<double> correction_of(const UpdateOptions& options, const Columns& columns,
                                  std::span<const float> logprob) {
  const WeightOptions& w = options.weights;
  const auto old = widened(columns.old_logprob.empty() ? logprob : columns.old_logprob);
  return algorithm::rollout_ratio(*w.correction, w.correction_min, w.correction_max, columns.start, old,
                                  widened(columns.sampled_logprob), columns.sampled_mask);
}

TokenWeights::TokenWeights(const UpdateOptions& options, const MicroBatch& batch, const Columns& columns,
                           std::span<const float> logprob, std::span<const float> entropy, const Survey* survey,
                           UpdateReport& report) {
  const WeightOptions& w = options.weights;
  if (w.correction || !w.rejection.empty()) measure(options, columns, logprob, report.divergence);
  if (w.top_entropy_quantile < 1 && survey) {
    entropy_mask = algorithm::top_entropy_mask(widened(entropy), columns.mask, survey->entropy_threshold);
    multiply(entropy_mask);
  }
  if (survey && !survey->covariance_tokens.empty())
    for (const Sample* s : batch.samples()) append(covariance_tokens, survey->covariance_tokens.at(s));
  if (w.off_policy_threshold > 0)
    multiply(algorithm::off_policy_mask(w.off_policy_threshold, columns.start, widened(logprob),
                                        widened(w.old_from_sampler ? columns.old_logprob : columns.sampled_logprob),
                                        columns.advantage, columns.mask));
  if (w.correction) correct(options, columns, logprob, report.objective);
  if (!w.rejection.empty() && w.old_from_sampler) reject(options, columns, logprob, report.rejection);
}

void TokenWeights::measure(const UpdateOptions& options, const Columns& columns, std::span<const float> logprob,
                           algorithm::SamplerDivergence& divergence) {
  const bool by_sampler = options.weights.old_from_sampler;
  const std::span<const float> model = by_sampler || columns.old_logprob.empty() ? logprob : columns.old_logprob;
  divergence.add(columns.start, widened(model), widened(by_sampler ? columns.old_logprob : columns.sampled_logprob),
                 columns.sampled_mask);
}

void TokenWeights::correct(const UpdateOptions& options, const Columns& columns, std::span<const float> logprob,
                           algorithm::ObjectiveMetrics& metrics) {
  auto ratio = correction_of(options, columns, logprob);
  const auto kind = *options.weights.correction;
  for (const double one : algorithm::ratios_to_tell(kind, columns.start, ratio, columns.sampled_mask))
    metrics.add_rollout_ratio(one);
  // VESPO takes the correction into its sequence weight instead.
  if (options.objective.term == algorithm::PolicyTerm::vespo)
    importance_ratio = std::move(ratio);
  else
    multiply(ratio);
}

void TokenWeights::reject(const UpdateOptions& options, const Columns& columns, std::span<const float> logprob,
                          algorithm::RejectionMetrics& metrics) {
  const auto accepted = algorithm::accepted_tokens(options.weights.rejection, columns.start, widened(logprob),
                                                   widened(columns.old_logprob), columns.mask, &metrics);
  multiply(algorithm::rejection_weights(accepted, columns.start, columns.mask, options.objective.aggregation));
}

void TokenWeights::scale(double factor) {
  for (double& weight : policy_weight) weight *= factor;
}

template <class Factors>
void TokenWeights::multiply(const Factors& factors) {
  if (policy_weight.empty()) policy_weight.assign(factors.size(), 1.0);
  for (std::size_t t = 0; t < factors.size(); ++t) policy_weight[t] *= static_cast<double>(factors[t]);
}

void check_sampled(const UpdateOptions& options, std::span<const Group> groups) {
  const WeightOptions& w = options.weights;
  const char* key = w.old_from_sampler           ? "algorithm.old_logprobs"
                    : w.correction               ? "algorithm.rollout_correction"
                    : w.off_policy_threshold > 0 ? "algorithm.off_policy_mask_threshold"
                    : !w.rejection.empty()       ? "algorithm.rollout_rejection"
                                                 : nullptr;
  if (!key) return;
  std::size_t missing = 0, samples = 0;
  for (const Group& group : groups)
    for (const Sample& s : group.samples) {
      if (s.ids.empty()) continue;
      ++samples;
      missing += s.logprob.size() != s.ids.size();
    }
  // A correction leaves single samples that nothing is known of alone, as TRL does; a ratio needs every one.
  if (missing > 0 && (w.old_from_sampler || missing == samples))
    throw Error(std::string(key) +
                " needs the log-probabilities of what was sampled under softmax(logits / temperature), and the sampler "
                "does not report them; turn it off, or use a sampler that does (sampler.plugin)");
}

}  // namespace grpo::train
