// evaluate.hpp: held-out accuracy of the policy as it is now.
#ifndef GRPO_SDK_TRAIN_EVALUATE_HPP
#define GRPO_SDK_TRAIN_EVALUATE_HPP

#include <functional>
#include <memory>

#include "grpo/sdk/train/collect.hpp"

namespace grpo::train {

// A held-out set and how to ask it: evaluation.* of the configuration.
class Evaluator {
 public:
  // Throws grpo::Error as PromptSet does, and for an evaluation.reward that is not among the rewards.
  explicit Evaluator(Session& session);

  // Completions in batches of evaluation.batch_size, scored by the run's rewards. Metrics: eval/accuracy (the share of
  // completions that evaluation.reward scores above 0.5; a sample without a score counts as wrong), eval/reward,
  // eval/rewards/<name>/mean, eval/completions/{mean_length,clipped_ratio}, eval/num_questions, timing/eval; with
  // evaluation.samples = k above 1 also eval/pass@k, the share of prompts with at least one right completion.
  // The same weights give the same completions, whatever the batch size. The session's thread.
  // stop (may be null) is asked before each batch; true ends the evaluation without metrics.
  report::Metrics run(Scorer& scorer, report::Console* console, const std::function<bool()>& stop = nullptr);

  std::int64_t size() const { return prompts_.size(); }

 private:
  Session& session_;
  PromptSet prompts_;
  plugins::ColumnTypes column_types_;
  std::shared_ptr<plugins::Sampling> sampling_;
  std::size_t deciding_reward_ = 0;
};

}  // namespace grpo::train

#endif
