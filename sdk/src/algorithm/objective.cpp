// The objective, put together: for each row, ratio -> policy term -> weight -> KL -> aggregation, and back.
#include "grpo/sdk/algorithm/objective.hpp"

#include <algorithm>
#include <cmath>

#include "batch_view.hpp"
#include "grpo/sdk/algorithm/covariance.hpp"
#include "kl.hpp"
#include "row_ratio.hpp"
#include "terms/term.hpp"
#include "text.hpp"

namespace grpo::algorithm {

namespace {

// The factor of one masked token's loss in the step's loss.
double token_factor(const ObjectiveOptions& options, const Normalizer& normalizer, double tokens_in_row) {
  switch (options.aggregation) {
    case Aggregation::sequence_mean:
      return 1 / (normalizer.rows * std::max(tokens_in_row, 1.0));
    case Aggregation::token_mean:
      return 1 / normalizer.tokens;
    case Aggregation::fixed_length:
      return 1 / (normalizer.rows * normalizer.max_completion_length);
    case Aggregation::sequence_sum:
      return 1 / normalizer.rows;
    case Aggregation::token_sum:
      return 1;
  }
  fail("aggregation ", static_cast<int>(options.aggregation), " is not one of Aggregation");
}

void check_normalizer(const ObjectiveOptions& options, const Normalizer& normalizer, bool has_tokens) {
  const auto require = [](double value, const char* name) {
    if (!(value > 0) || !std::isfinite(value)) {
      fail("objective: normalizer ", name, " is ", value, "; give the number of the whole optimizer step");
    }
  };
  const bool by_row = options.aggregation != Aggregation::token_mean && options.aggregation != Aggregation::token_sum;
  if (by_row) require(normalizer.rows, "rows");
  if (options.aggregation == Aggregation::fixed_length) {
    require(normalizer.max_completion_length, "max_completion_length");
  }
  const bool by_token = options.aggregation == Aggregation::token_mean;
  const bool bonus_by_token = options.entropy_coefficient != 0 && normalizer.entropy_tokens == 0;
  if ((by_token || bonus_by_token) && has_tokens) require(normalizer.tokens, "tokens");
  if (normalizer.entropy_tokens != 0) require(normalizer.entropy_tokens, "entropy_tokens");
}

// Everything one call carries from row to row.
template <class Real>
class Evaluation {
 public:
  Evaluation(const ObjectiveOptions& options, const View<Real>& view, const Normalizer& normalizer,
             std::span<Real> dlogprob, std::span<Real> dentropy)
      : options_(options),
        view_(view),
        normalizer_(normalizer),
        unit_(term_unit(options.term)),
        row_level_(options.ratio != RatioLevel::token && !view.token_level_advantage()),
        dlogprob_(dlogprob),
        dentropy_(dentropy) {
    const double tokens = normalizer.entropy_tokens > 0 ? normalizer.entropy_tokens : normalizer.tokens;
    entropy_factor_ = options.entropy_coefficient / tokens;
    std::fill(dlogprob.begin(), dlogprob.end(), Real(0));
    std::fill(dentropy.begin(), dentropy.end(), Real(0));
  }

  void row(size_t row) {
    ratio_.compute(options_, unit_, view_, row);
    const double factor = token_factor(options_, normalizer_, ratio_.count);
    const size_t begin = view_.begin(row), size = view_.end(row) - begin;

    const bool shares = options_.ratio == RatioLevel::sequence;
    double shared = 0;  // dloss / dlog r of the sequence's one ratio, gathered from all its tokens
    direct_.assign(size, 0);
    Mean low, high, region;
    for (size_t i = 0; i < size; ++i) {
      const size_t t = begin + i;
      if (!view_.kept(t)) continue;
      const double logprob = view_.logprob(row, t);
      const double r = std::exp(ratio_.log_ratio[i]);
      const TermInput in = {r, logprob, view_.advantage(row, t), ratio_.token_log_ratio[i], ratio_.sequence_log_weight};
      TermOutput term = unit_.evaluate(options_, in);
      if (options_.covariance != CovarianceControl::none) control_covariance(t, in, term);
      const double weight = view_.weight(row, t);
      policy_loss_ += factor * weight * term.loss;
      double d_log_ratio = factor * weight * term.d_log_ratio;
      double d_logprob = factor * weight * term.d_logprob;
      if (options_.kl_coefficient != 0) add_kl(row, t, logprob, r, factor, d_log_ratio, d_logprob);

      direct_[i] = d_logprob + (shares ? 0 : d_log_ratio * ratio_.sensitivity[i]);
      shared += shares ? d_log_ratio : 0;
      low.add(term.clipped_low);
      high.add(term.clipped_high);
      region.add(term.clipped_low || term.clipped_high);
      if (!row_level_) measure_ratio(r, ratio_.log_ratio[i]);
      measure_token(row, t);
    }
    for (size_t i = 0; i < size; ++i) {
      if (view_.kept(begin + i)) dlogprob_[begin + i] = static_cast<Real>(direct_[i] + shared * ratio_.sensitivity[i]);
    }
    if (row_level_ && ratio_.count > 0) measure_ratio(std::exp(ratio_.log_ratio[0]), ratio_.log_ratio[0]);
    measure_clips(low, high, region);
  }

  ObjectiveResult finish() {
    metrics_.policy_loss = policy_loss_;
    metrics_.loss = policy_loss_ + kl_loss_ - entropy_bonus_;
    return {metrics_.loss, metrics_};
  }

 private:
  // Clip-Cov takes the token out; KL-Cov pulls it back to where it was, by its own log ratio whatever the ratio level.
  void control_covariance(size_t t, const TermInput& in, TermOutput& term) {
    const bool chosen = view_.covariance_token(t);
    metrics_.covariance_share.add(chosen);
    if (!chosen) return;
    if (options_.covariance == CovarianceControl::clip) {
      term = {};
    } else {
      const double sign = in.token_log_ratio > 0 ? 1 : in.token_log_ratio < 0 ? -1 : 0;
      term.loss += options_.kl_cov_coefficient * std::abs(in.token_log_ratio);
      const bool moves = std::abs(in.token_log_ratio) < options_.log_ratio_limit;
      term.d_logprob += moves ? options_.kl_cov_coefficient * sign : 0;
    }
  }

  void add_kl(size_t row, size_t t, double logprob, double r, double factor, double& d_log_ratio, double& d_logprob) {
    const KlValue kl = kl_value(options_, logprob, view_.reference_logprob(row, t));
    const double correction = options_.kl_bias_correction ? r : 1;
    const double scale = factor * options_.kl_coefficient * correction;
    kl_loss_ += scale * kl.value;
    d_logprob += scale * kl.d_logprob;
    if (options_.kl_bias_correction) d_log_ratio += scale * kl.value;
    metrics_.kl.add(kl.value * correction);
  }

  void measure_token(size_t row, size_t t) {
    metrics_.tokens += 1;
    if (const double sampled = view_.sampled_logprob(row, t); !std::isnan(sampled)) {
      const double difference = std::abs(view_.old_logprob(row, t) - sampled);
      metrics_.logp_difference.add(difference);
      metrics_.logp_difference_max = std::max(metrics_.logp_difference_max, difference);
    }
    if (!view_.has_entropy()) return;
    const double entropy = view_.entropy(row, t);
    metrics_.entropy.add(entropy);
    if (options_.entropy_coefficient == 0 || !view_.in_entropy(t)) return;
    entropy_bonus_ += entropy_factor_ * entropy;
    if (!dentropy_.empty()) dentropy_[t] = static_cast<Real>(-entropy_factor_);
  }

  void measure_ratio(double r, double log_ratio) {
    metrics_.ratio.add(r);
    metrics_.ratio_max = std::max(metrics_.ratio_max, r);
    if (r > 0) metrics_.approx_kl.add(-log_ratio);
  }

  // At sequence level the whole row is clipped or not, and counts once.
  void measure_clips(const Mean& low, const Mean& high, const Mean& region) {
    if (!unit_.clips || low.count == 0) return;
    metrics_.clip_low_min = std::min(metrics_.clip_low_min, low.value());
    metrics_.clip_high_max = std::max(metrics_.clip_high_max, high.value());
    if (row_level_) {
      metrics_.clip_low.add(low.value());
      metrics_.clip_high.add(high.value());
      metrics_.clip_region.add(region.value());
    } else {
      metrics_.clip_low.merge(low);
      metrics_.clip_high.merge(high);
      metrics_.clip_region.merge(region);
    }
  }

  const ObjectiveOptions& options_;
  const View<Real>& view_;
  const Normalizer& normalizer_;
  const TermUnit unit_;
  const bool row_level_;
  std::span<Real> dlogprob_;
  std::span<Real> dentropy_;
  double entropy_factor_ = 0;
  double policy_loss_ = 0, kl_loss_ = 0, entropy_bonus_ = 0;
  RowRatio ratio_;
  std::vector<double> direct_;
  ObjectiveMetrics metrics_;
};

template <class Real>
std::vector<uint8_t> chosen_tokens(const ObjectiveOptions& options, const View<Real>& view, uint64_t key) {
  std::vector<double> logprob(view.tokens()), old(view.tokens()), advantage(view.tokens());
  std::vector<uint8_t> mask(view.tokens());
  for (size_t row = 0; row < view.rows(); ++row) {
    for (size_t t = view.begin(row); t < view.end(row); ++t) {
      if (!(mask[t] = view.kept(t))) continue;
      logprob[t] = view.logprob(row, t);
      old[t] = view.old_logprob(row, t);
      advantage[t] = view.advantage(row, t);
    }
  }
  return covariance_tokens(options, {logprob, old, advantage, mask, key});
}

}  // namespace

template <class Real>
ObjectiveResult evaluate(const ObjectiveOptions& options, const BasicTokenBatch<Real>& given,
                         const Normalizer& normalizer, std::span<Real> dlogprob, std::span<Real> dentropy) {
  check(options);
  BasicTokenBatch<Real> batch = given;
  const View<Real> view(options, batch);
  std::vector<uint8_t> chosen;
  if (options.covariance != CovarianceControl::none && batch.covariance_tokens.empty()) {
    chosen = chosen_tokens(options, view, batch.covariance_key);
    batch.covariance_tokens = chosen;
  }
  check_normalizer(options, normalizer, view.kept_tokens() > 0);
  if (dlogprob.size() != view.tokens()) {
    fail("objective: dlogprob has room for ", dlogprob.size(), " values, the batch needs ", view.tokens());
  }
  if (dentropy.size() != view.tokens() && (!dentropy.empty() || options.entropy_coefficient != 0)) {
    fail("objective: dentropy has room for ", dentropy.size(), " values, the batch needs ", view.tokens());
  }
  Evaluation<Real> evaluation(options, view, normalizer, dlogprob, dentropy);
  for (size_t row = 0; row < view.rows(); ++row) evaluation.row(row);
  return evaluation.finish();
}

template ObjectiveResult evaluate<float>(const ObjectiveOptions&, const BasicTokenBatch<float>&, const Normalizer&,
                                         std::span<float>, std::span<float>);
template ObjectiveResult evaluate<double>(const ObjectiveOptions&, const BasicTokenBatch<double>&, const Normalizer&,
                                          std::span<double>, std::span<double>);

}  // namespace grpo::algorithm
