// update.hpp: from a scored rollout to new weights.
//
//     for iteration, minibatch:                          # each an optimizer step
//       for microbatch:
//         logprob, entropy, ticket = model.forward(forest, train)
//         loss, dlogprob, dentropy = objective(logprob, old, reference, sampled, advantage)
//         model.backward(ticket, dlogprob, dentropy)
//       optimizer.step(learning rate, clip); model.commit(version)
//
// Old log-probabilities are computed apart only when they can differ from the current ones, or are wanted earlier: with
// several minibatches, for a KL in the reward (prepare), and where they decide which tokens are trained on
// (rollout_rejection). With one optimizer step they are the current ones,
// detached, also for the rollout correction; with one minibatch and several iterations the first pass gives them; from
// the sampler they cost nothing. The reference pass runs only when the KL coefficient is not 0. A group whose
// advantages are all 0 has no backward pass, as long as neither KL nor entropy is in the loss. What must be known of
// all tokens of an optimizer step (the entropy that top_entropy_quantile means, Clip-Cov, KL-Cov) costs another forward
// pass where the step has more than one micro batch: the gradient does not depend on how it is cut.
#ifndef GRPO_SDK_TRAIN_UPDATE_HPP
#define GRPO_SDK_TRAIN_UPDATE_HPP

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "grpo/sdk/algorithm/divergence.hpp"
#include "grpo/sdk/algorithm/entropy_control.hpp"
#include "grpo/sdk/algorithm/objective.hpp"
#include "grpo/sdk/algorithm/rejection.hpp"
#include "grpo/sdk/algorithm/schedule.hpp"
#include "grpo/sdk/algorithm/weights.hpp"
#include "grpo/sdk/plugins/model.hpp"
#include "grpo/sdk/plugins/optimizer.hpp"
#include "grpo/sdk/train/microbatch.hpp"
#include "grpo/sdk/train/rollout.hpp"

namespace grpo::config {
struct Config;
}

namespace grpo::train {

struct Survey;

// The objective that the section `algorithm` describes.
algorithm::ObjectiveOptions objective_of(const config::Config& config);

// Factors on the policy term, which come from rollout and entropy (weights.hpp).
struct WeightOptions {
  std::optional<algorithm::RolloutCorrection> correction = {};
  std::optional<double> correction_min = {}, correction_max = {};
  bool normalize_correction = false;  // to a mean of 1 over the step
  bool old_from_sampler = false;      // the ratio compares with what the sampler reported
  double off_policy_threshold = 0;    // 0: off
  std::vector<algorithm::RejectionCriterion> rejection = {};
  double top_entropy_quantile = 1;  // share of the tokens that train
};

// Throws grpo::Error that names the key where a value of its own form (thresholds) has another.
WeightOptions weights_of(const config::Config& config);

struct UpdateOptions {
  algorithm::ObjectiveOptions objective = {};
  WeightOptions weights = {};
  std::optional<algorithm::AdaptiveEntropy> entropy_control = {};  // of objective.entropy_coefficient
  std::uint64_t seed = 0;                                          // of the draw of clip_cov
  double temperature = 1;  // of the rollout; the trained distribution has the same
  std::int64_t max_completion_length = 0;
  std::int64_t max_tokens_per_microbatch = 0;  // 0: all in one
  std::int64_t iterations = 1, minibatches = 1;
  bool mask_truncated_completions = false;
  double max_grad_norm = 1;  // 0: no clipping
};

struct UpdateReport {
  algorithm::ObjectiveMetrics objective;                // loss and its parts are means over the optimizer steps
  algorithm::RejectionMetrics rejection;                // of the step's tokens; by the sampler's word: of every pass
  algorithm::SamplerDivergence divergence;              // before any rejection, where correction or rejection is on
  double grad_norm = 0;                                 // before clipping, mean over the optimizer steps
  double learning_rate = 0;                             // of the last optimizer step
  std::int64_t optimizer_steps = 0, skipped_steps = 0;  // skipped: the gradient was not finite
  std::int64_t microbatches = 0, tokens = 0;            // tokens that went through forward and backward
  double old_logp_seconds = 0, reference_seconds = 0, update_seconds = 0, optimizer_seconds = 0, weights_seconds = 0;
};

// What an optimizer step needs from outside: its number from 1 (over the whole run) and the learning rate.
struct StepClock {
  std::int64_t done = 0;                                   // optimizer steps so far
  std::function<double(std::int64_t step)> learning_rate;  // step from 0
};

class Updater {
 public:
  // reference: null unless the KL coefficient is not 0; `model` itself: its base weights. All outlive this object and
  // belong to the caller's thread.
  Updater(plugins::Model& model, plugins::Model* reference, plugins::Optimizer& optimizer, UpdateOptions options);

  // Fills old_logprob and reference_logprob of all samples with the weights of now, for who needs them before update,
  // which then takes them as they are. Needs a reference.
  void prepare(std::span<Group> groups);

  // The weight of the KL in the loss from now on. Not from 0: whether there is a reference was settled at the start.
  void set_kl_coefficient(double coefficient);

  // Where an adaptive entropy bonus is, to be saved, and to go on from; it moves with every optimizer step.
  const algorithm::EntropyBonus& entropy_bonus() const { return entropy_bonus_; }
  void set_entropy_bonus(const algorithm::EntropyBonus& bonus);

  // Trains on the groups, whose samples carry advantages; clock.done goes up by iterations x minibatches, also where a
  // minibatch has no token to learn from or a gradient is not finite. progress(done, total) counts optimizer steps in
  // fractions; may be null. Throws grpo::Error for fewer groups than minibatches, and what model and optimizer throw.
  UpdateReport update(std::span<Group> groups, StepClock& clock,
                      const std::function<void(double done, double total)>& progress = nullptr);

  // The same in pieces, as a rollout comes in: begin, accumulate for each piece, finish. The gradient is that of one
  // update of all groups: what the whole step is divided by is made good at the end. So a model holds the activations
  // of one piece at a time, and finds those that it decoded with (docs/decisions/pieces.md).
  bool can_take_pieces() const;
  void begin(std::int64_t completions);  // of all pieces
  void accumulate(std::span<Group> groups);
  UpdateReport finish(StepClock& clock);

 private:
  algorithm::Normalizer normalizer_of(std::span<Group* const> groups) const;
  bool take_prepared(UpdateReport& report);
  void survey(std::span<const MicroBatch> batches, UpdateReport& report);
  void fill_old_logprobs(std::span<Group* const> groups, UpdateReport& report);
  void fill_reference_logprobs(std::span<Group* const> groups, UpdateReport& report);
  std::pair<std::vector<Group*>, std::vector<Group*>> split(const std::vector<Group*>& groups) const;
  double mean_correction(std::span<Group* const> groups) const;
  void zero_grad(UpdateReport& report);
  bool pass_all(const std::vector<Group*>& groups, const algorithm::Normalizer& normalizer, bool keep_logprob,
                UpdateReport& report, const std::function<void(double share)>& progress);
  void pass(const MicroBatch& batch, algorithm::Normalizer normalizer, bool train, bool keep_logprob,
            UpdateReport& report);
  void optimizer_step(StepClock& clock, double factor, UpdateReport& report);

  plugins::Model& model_;
  plugins::Model* reference_;
  plugins::Optimizer& optimizer_;
  UpdateOptions options_;

  // A step in pieces.
  algorithm::Normalizer assumed_;
  double tokens_ = 0;  // that the normalizer should have had
  bool learned_ = false;
  UpdateReport report_;

  bool prepared_ = false;                                           // by prepare, for the next update
  double prepare_old_seconds_ = 0, prepare_reference_seconds_ = 0;  // told with the next update
  std::shared_ptr<const Survey> survey_;                            // of the optimizer step that is under way
  std::uint64_t draw_key_ = 0;                                      // and its random numbers
  double correction_factor_ = 1;                                    // of the step that is under way
  algorithm::EntropyBonus entropy_bonus_;
  algorithm::Mean entropy_;  // of the tokens of the bonus in this optimizer step; counted for entropy_control alone
};

// One optimizer step from the gradients that the model holds, times factor: norm, clipping, step, commit. Returns the
// norm before clipping. A gradient that is not finite is not stepped on, and the norm tells. version: given to commit.
double apply_gradients(plugins::Model& model, plugins::Optimizer& optimizer, std::int64_t step, double learning_rate,
                       double max_grad_norm, std::int64_t version, double factor = 1);

}  // namespace grpo::train

#endif
