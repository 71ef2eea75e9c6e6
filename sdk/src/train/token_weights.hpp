// token_weights.hpp: what a micro batch's tokens count for in the objective, before the objective sees them: rollout
// correction and rejection, off-policy mask, the tokens with the highest entropy, those that Clip-Cov and KL-Cov
// choose.
#ifndef GRPO_SRC_TRAIN_TOKEN_WEIGHTS_HPP
#define GRPO_SRC_TRAIN_TOKEN_WEIGHTS_HPP

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "grpo/sdk/algorithm/objective.hpp"
#include "grpo/sdk/train/microbatch.hpp"
#include "grpo/sdk/train/update.hpp"

namespace grpo::train {

// A micro batch's samples as flat arrays, one element a completion token. Arrays that say nothing are empty.
struct Columns {
  std::vector<std::int64_t> start;
  std::vector<float> old_logprob, reference_logprob, sampled_logprob;
  std::vector<std::uint8_t> mask, sampled_mask;  // tokens in the loss; the same before any was rejected
  std::vector<double> advantage, token_advantage;

  Columns(const MicroBatch& batch, const UpdateOptions& options);
  std::size_t tokens() const { return static_cast<std::size_t>(start.back()); }
};

// How many tokens of a completion are in the loss.
std::size_t tokens_in_loss(const Sample& sample, const UpdateOptions& options);

// Whether which tokens are in the loss is decided once a step; by the sampler's word as old log-probabilities each pass
// decides for itself, by what the model says then (TokenWeights).
bool rejects_once(const UpdateOptions& options);

// Decides it, into Sample::accepted. The samples have their old log-probabilities.
void reject_tokens(const UpdateOptions& options, std::span<Group* const> groups, algorithm::RejectionMetrics& metrics);

// What must be known of all tokens of an optimizer step before the first of them can be trained on.
struct Survey {
  double entropy_threshold = 0;
  double entropy_tokens = 0;  // tokens at or above it
  std::map<const Sample*, std::vector<std::uint8_t>> covariance_tokens;
};

// Whether these options need one.
bool needs_survey(const UpdateOptions& options);

// Gathers the micro batches of one optimizer step, then draws the conclusion.
class Surveyor {
 public:
  explicit Surveyor(const UpdateOptions& options) : options_(options) {}
  // logprob, entropy (may be empty): of the batch's tokens under the weights of now.
  void add(const MicroBatch& batch, std::span<const float> logprob, std::span<const float> entropy);
  // key: of the draw.
  Survey finish(std::uint64_t key) const;

 private:
  const UpdateOptions& options_;
  std::vector<const Sample*> samples_;
  std::vector<double> logprob_, old_logprob_, entropy_, advantage_;
  std::vector<std::uint8_t> mask_;
};

// The factors of one micro batch, for BasicTokenBatch. Adds what rollout correction and rejection measure to `report`.
struct TokenWeights {
  std::vector<double> policy_weight, importance_ratio;
  std::vector<std::uint8_t> entropy_mask, covariance_tokens;

  TokenWeights(const UpdateOptions& options, const MicroBatch& batch, const Columns& columns,
               std::span<const float> logprob, std::span<const float> entropy, const Survey* survey,
               UpdateReport& report);
  // The policy term times this.
  void scale(double factor);

 private:
  static void measure(const UpdateOptions& options, const Columns& columns, std::span<const float> logprob,
                      algorithm::SamplerDivergence& divergence);
  void correct(const UpdateOptions& options, const Columns& columns, std::span<const float> logprob,
               algorithm::ObjectiveMetrics& metrics);
  void reject(const UpdateOptions& options, const Columns& columns, std::span<const float> logprob,
              algorithm::RejectionMetrics& metrics);
  template <class Factors>
  void multiply(const Factors& factors);
};

// Weights of the rollout correction, after their bounds, [tokens]. logprob: of now, where there is no old one.
std::vector<double> correction_of(const UpdateOptions& options, const Columns& columns, std::span<const float> logprob);

// Throws grpo::Error where the options need the sampler's log-probabilities and a sample has none.
void check_sampled(const UpdateOptions& options, std::span<const Group> groups);

}  // namespace grpo::train

#endif
