// objective.hpp: the loss on per-token log-probabilities, and its gradient in closed form.
//
// A model turns tokens into log-probabilities and dL/dlogprob into parameter gradients; what lies between is here, in
// plain C++ on the host, in double precision, the same for every engine. An objective is put together from parts that
// know nothing of each other:
//
//   ratio        how far the policy has moved: per token, or per sequence (GSPO)
//   policy term  per-token loss as a function of ratio and advantage: clip (PPO, GRPO), cispo, sapo, ...
//   covariance   tokens whose log-probability and advantage go together most are held back (clip_cov, kl_cov)
//   weight       factors on the policy term alone, computed outside (weights.hpp): rollout correction, entropy mask
//   KL           against a reference, added after the weights
//   aggregation  how token losses become one number
//   entropy      bonus on the mean entropy
//
// objective_options("dapo") gives the parts that a paper or TRL means by a name; each part can be changed after that.
// A new objective is one more function in src/algorithm/terms/ and one row in the table of names.
//
//   ObjectiveOptions options = objective_options("dapo");
//   options.clip_high = 0.28;
//   Normalizer normalizer = {.rows = 32, .tokens = 2048, .max_completion_length = 64};  // of the whole optimizer step
//   for (each micro batch) {
//     ObjectiveResult result = evaluate(options, batch, normalizer, dlogprob, dentropy);
//     metrics.merge(result.metrics);
//   }
//
// Because the normalizer is that of the optimizer step, micro batching, accumulation and data parallelism change
// neither the gradient nor the summed loss.
#ifndef GRPO_SDK_ALGORITHM_OBJECTIVE_HPP
#define GRPO_SDK_ALGORITHM_OBJECTIVE_HPP

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace grpo::algorithm {

enum class PolicyTerm {
  clip,   // -min(r A, clip(r, 1 - clip_low, 1 + clip_high) A), with `delta` the first r is min(r, delta)
  cispo,  // -stopgrad(clip(r, cispo_min_ratio, cispo_max_ratio)) A logp; MiniMax-M1
  sapo,   // -A sigmoid(tau (r - 1)) 4 / tau, tau by the sign of A; SAPO
  vespo,  // -stopgrad(phi(w)) A logp, w the product of the sequence's ratios; VESPO
  // -A exp(mean_t of log r_t), log r_t not above clip_high where A > 0, not below -clip_low where A < 0: GMPO. The mean
  // is the ratio, so the ratio level must be `sequence`; its clips are bounds of log r.
  gmpo,
  importance,  // -r A, without a clip
  // -stopgrad(min(r, delta)) A logp, 0 for a token that has moved too far where its advantage pushes it, p its
  // probability now and q before: DPPO. Its ratio level must be `token`.
  dppo_tv,     // too far: p - q > clip_high for A > 0, q - p > clip_low for A < 0
  dppo_kl,     // too far: KL of the coins q and p > clip_high where p > q, > clip_low where p < q
  dro,         // -A logp + dro_beta / 2 (log r_t)^2
  likelihood,  // -A logp, without a ratio: GPG
};

// What is done about the few tokens with the largest covariance of log-probability and advantage, which bring the
// entropy down (Cui et al. 2025, "The Entropy Mechanism of RL"; covariance.hpp says which tokens these are).
enum class CovarianceControl {
  none,
  clip,  // some of them, drawn at random, are left out of the policy term: Clip-Cov
  kl,    // kl_cov_coefficient |log r_t| is added for them: KL-Cov
};

enum class RatioLevel {
  token,           // r_t = exp(logp_t - old_t)
  sequence,        // r = exp(mean over the row's masked tokens of logp - old): GSPO
  sequence_token,  // the value of `sequence`, but each token's gradient is its own: GSPO-token
};

enum class Aggregation {
  sequence_mean,  // mean over rows of the row's token mean: grpo, sapo, gspo. An empty row counts in the rows
  token_mean,     // sum / tokens of the optimizer step: dapo, bnpo, cispo
  fixed_length,   // sum / (rows x max_completion_length): dr_grpo
  sequence_sum,   // mean over rows of the row's token sum: luspo
  token_sum,      // the sum
};

// With d = reference - logp (clamped to +-20; k3 also to +-10, verl's guard). The _plus forms have the value of the
// estimator and the gradient of k2, whose expectation is that of the divergence (verl's "k3+": straight-through).
enum class KlEstimator {
  k1,   // -d
  k2,   // d^2 / 2
  k3,   // exp(d) - d - 1
  abs,  // |d|
  k1_plus,
  k3_plus,
  abs_plus,
};

struct ObjectiveOptions {
  PolicyTerm term = PolicyTerm::clip;
  RatioLevel ratio = RatioLevel::token;
  Aggregation aggregation = Aggregation::token_mean;
  CovarianceControl covariance = CovarianceControl::none;

  double clip_low = 0.2;   // epsilon
  double clip_high = 0.2;  // epsilon_high; "clip-higher" (DAPO) is 0.28
  // Two-sided clipping (INTELLECT-2): an upper bound on the unclipped ratio, meant to exceed 1 + clip_high. For
  // negative advantages this is verl's dual clip: its clip_ratio_c = 3 is delta = 3.
  std::optional<double> delta;

  double kl_coefficient = 0;  // beta; 0 needs no reference log-probabilities
  KlEstimator kl_estimator = KlEstimator::k3;
  bool kl_bias_correction = true;  // KL times the ratio, gradient through both (TRL 1.16's default)

  double entropy_coefficient = 0;  // loss -= coefficient x mean entropy; needs entropies

  double cispo_min_ratio = 0.0;            // TRL and MiniMax-M1: none; verl: 1 - clip_low
  double cispo_max_ratio = 5.0;            // verl: 1 + clip_high
  double sapo_temperature_positive = 1.0;  // for A > 0
  double sapo_temperature_negative = 1.05;
  double vespo_k_positive = 2.0, vespo_lambda_positive = 3.0;  // for A >= 0
  double vespo_k_negative = 3.0, vespo_lambda_negative = 2.0;

  // Shares of the tokens that CovarianceControl may take, and Clip-Cov's range of the covariance; verl's defaults.
  double clip_cov_ratio = 2e-4, clip_cov_low = 1.0, clip_cov_high = 5.0;
  double kl_cov_ratio = 2e-4, kl_cov_coefficient = 1.0;

  double dro_beta = 0.1;  // verl asks for it

  // Guards against overflow. A value beyond its limit is constant, so its gradient is zero.
  double log_ratio_limit = 20;
  double kl_limit = 10;  // of k3
};

// The parts that a name stands for: grpo, bnpo, dapo, dr_grpo, gspo, gspo_token, cispo, sapo, luspo, vespo, gmpo,
// clip_cov, kl_cov, dppo_tv, dppo_kl, gpg, dro (also with "-" for "_", any case), and verl's geo_mean (gmpo) and
// vanilla (dapo). Numbers keep their defaults, but clips are those of the paper: 3e-4 and 4e-4 for gspo, 2e-3
// and 2.5e-3 for luspo, 0.4 for gmpo, 0.15 for dppo_tv, 0.05 for dppo_kl. Throws grpo::Error that lists the names.
ObjectiveOptions objective_options(std::string_view name);
std::vector<std::string_view> objective_names();

// The parts by their own names, or verl's in parentheses. Each throws grpo::Error that lists the names.
KlEstimator kl_estimator(std::string_view name);  // k1 (kl), k2 (mse), k3 (low_var_kl), abs; with "+": the _plus form
std::string_view name(KlEstimator estimator);
RatioLevel ratio_level(std::string_view name);  // as the enumerators
// As the enumerators; verl's are seq-mean-token-mean, token-mean, seq-mean-token-sum, seq-mean-token-sum-norm
// (fixed_length) and token-sum.
Aggregation aggregation(std::string_view name);

// An estimator's value for one token, with the guards of a default ObjectiveOptions.
double kl_of_token(KlEstimator estimator, double logprob, double reference_logprob);

// Throws grpo::Error naming the option and its range when the numbers make no objective (clip_low outside [0, 1], ...).
void check(const ObjectiveOptions& options);

// Ragged rows of tokens: row i is [start[i], start[i + 1]). Rows may be empty. All spans are the caller's, for the
// call. Real is float (what models give) or double (tests, the `objective` filter); the arithmetic is double in both.
template <class Real>
struct BasicTokenBatch {
  std::span<const int64_t> start;           // [rows + 1], start[0] = 0, start[rows] = tokens
  std::span<const Real> logprob;            // [tokens] under the policy being trained
  std::span<const Real> old_logprob;        // [tokens] at the start of the step; empty: equal to logprob, detached
  std::span<const Real> reference_logprob;  // [tokens]; may be empty when kl_coefficient is 0
  std::span<const Real> sampled_logprob;    // [tokens] as the sampler reported; empty: unknown, NaN: this token unknown
  std::span<const Real> entropy;            // [tokens]; empty: neither bonus nor metric
  std::span<const uint8_t> mask;            // [tokens] 1: in the loss; empty: all ones
  std::span<const double> advantage;        // [rows], or
  std::span<const double> token_advantage;  // [tokens], which wins where given
  std::span<const double> policy_weight;    // [tokens] factor on the policy term (weights.hpp); empty: ones
  // [tokens] rollout_ratio (weights.hpp) of a token_* kind, for vespo alone, which takes it into the sequence's weight
  // (the others have it in policy_weight); empty: ones.
  std::span<const double> importance_ratio;
  std::span<const uint8_t> entropy_mask;  // [tokens] tokens of the entropy bonus, within mask; empty: mask
  // [tokens] 1: CovarianceControl acts on it (covariance.hpp). Empty: chosen among the tokens of this batch; a batch
  // that is a part of an optimizer step needs them chosen from the whole.
  std::span<const uint8_t> covariance_tokens;
  uint64_t covariance_key = 0;  // of the draw where they are chosen here
};
using TokenBatch = BasicTokenBatch<float>;

// Of the WHOLE optimizer step: all micro batches and all ranks, masked tokens only. Not a micro batch's own numbers.
struct Normalizer {
  double rows = 0;
  double tokens = 0;                 // tokens whose mask is 1
  double max_completion_length = 0;  // the configured limit: fixed_length alone
  double entropy_tokens = 0;         // tokens of the entropy bonus; 0: tokens
};

struct Mean {
  double sum = 0;
  double count = 0;
  void add(double value, double weight = 1) { sum += value * weight, count += weight; }
  void merge(const Mean& other) { sum += other.sum, count += other.count; }
  double value() const;  // NaN when empty
};

// Sums over tokens or rows, mergeable in any order over micro batches and (field by field) over ranks.
struct ObjectiveMetrics {
  double loss = 0;                        // the whole objective; parts of one optimizer step add up
  double policy_loss = 0;                 // without KL and entropy
  Mean kl;                                // of the chosen estimator, bias correction included, over masked tokens
  Mean entropy;                           // over masked tokens
  Mean clip_low, clip_high, clip_region;  // share of clipped tokens (rows, at sequence level)
  double clip_low_min = std::numeric_limits<double>::infinity();  // smallest and largest share of a row
  double clip_high_max = -std::numeric_limits<double>::infinity();
  Mean ratio;
  double ratio_max = -std::numeric_limits<double>::infinity();
  Mean approx_kl;        // -log(ratio): Schulman's k1 estimate of KL(old || new)
  Mean logp_difference;  // |old - sampled|, tokens with a known sampled log-probability
  double logp_difference_max = -std::numeric_limits<double>::infinity();
  Mean covariance_share;  // tokens that CovarianceControl acts on
  Mean rollout_ratio;     // weights of a rollout correction, after its bounds; evaluate leaves it to its caller
  double rollout_ratio_min = std::numeric_limits<double>::infinity();
  double rollout_ratio_max = -std::numeric_limits<double>::infinity();
  double tokens = 0;  // masked tokens seen

  void add_rollout_ratio(double ratio);
  void merge(const ObjectiveMetrics& other);
  // Canonical names: loss, policy_loss, kl, entropy, clip_ratio/{low_mean,low_min,high_mean,high_max,region_mean},
  // ratio/{mean,max}, approx_kl, clip_ratio/covariance_mean, sampling/logp_difference/{mean,max},
  // sampling/importance_ratio/{mean,min,max}. What was not measured is left out.
  std::vector<std::pair<std::string, double>> values() const;
};

struct ObjectiveResult {
  double loss = 0;  // this batch's part of the step's loss: parts add up
  ObjectiveMetrics metrics;
};

// Writes (does not add) dlogprob [tokens] and dentropy [tokens, or empty when not wanted; zeros without a bonus].
// Masked tokens get 0. Throws grpo::Error naming the array when sizes disagree, a needed array is missing, or a
// masked-in log-probability, entropy or advantage is not finite (row and token named). [any thread]
template <class Real>
ObjectiveResult evaluate(const ObjectiveOptions& options, const BasicTokenBatch<Real>& batch,
                         const Normalizer& normalizer, std::span<Real> dlogprob, std::span<Real> dentropy);

extern template ObjectiveResult evaluate<float>(const ObjectiveOptions&, const BasicTokenBatch<float>&,
                                                const Normalizer&, std::span<float>, std::span<float>);
extern template ObjectiveResult evaluate<double>(const ObjectiveOptions&, const BasicTokenBatch<double>&,
                                                 const Normalizer&, std::span<double>, std::span<double>);

}  // namespace grpo::algorithm

#endif
