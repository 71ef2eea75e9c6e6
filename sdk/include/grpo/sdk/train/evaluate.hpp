// evaluate.hpp: held-out accuracy of the policy as it is now, over one set or several.
//
//     Evaluator evaluator(session);                                   // opens the sets of evaluation.*
//     Evaluation found = evaluator.evaluate(scorer, {.save_to = dir});
//     std::cout << table(found, config.evaluation.pass_k);
#ifndef GRPO_SDK_TRAIN_EVALUATE_HPP
#define GRPO_SDK_TRAIN_EVALUATE_HPP

#include <filesystem>
#include <functional>
#include <memory>

#include "grpo/sdk/train/collect.hpp"
#include "grpo/sdk/train/evaluation.hpp"

namespace grpo::train {

// Whether the configuration names a held-out set.
bool has_evaluation(const config::Config& config);
// Throws grpo::Error, which names the key, where one of its files is not there: before anything is loaded.
void check_evaluation_files(const config::Config& config);

struct EvaluateOptions {
  report::Console* console = nullptr;  // null: silent
  // Asked before each batch; true ends the evaluation with what is there. Who cancels the sampler while it works
  // (Sampler::cancel_all) has it say true before. May be null.
  std::function<bool()> stop = nullptr;
  // Gets eval.json and, with evaluation.save_completions, completions.jsonl, a line as each completion is scored; made
  // if it is not there, files of the same names are replaced. Empty: nothing is written.
  std::filesystem::path save_to = {};
};

// The held-out sets and how to ask them: evaluation.* of the configuration.
class Evaluator {
 public:
  // Throws grpo::Error as PromptSet does, and for an evaluation.reward that is not among the rewards.
  explicit Evaluator(Session& session);
  ~Evaluator();
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;

  // Completions in batches of evaluation.batch_size prompts, scored by the run's rewards; what is kept of a batch is a
  // few numbers a question. A completion is right when evaluation.reward scores it above 0.5; one without a score is
  // wrong. The same weights give the same completions, whatever the batch size and the other sets. The session's
  // thread. Throws grpo::Error for a file that cannot be written, and what collect throws.
  Evaluation evaluate(Scorer& scorer, const EvaluateOptions& options = {});

  // The same for a stage: metrics_of what was found, nothing when it was stopped.
  report::Metrics run(Scorer& scorer, const EvaluateOptions& options = {});

  std::int64_t size() const;  // questions of all sets

 private:
  struct Set;
  struct Way;
  DatasetResult evaluate(const Set& set, Scorer& scorer, const EvaluateOptions& options, class CompletionsFile* file,
                         bool& stopped);
  std::unique_ptr<Set> open(const config::EvaluationDataset& entry, data::PromptOptions prompts,
                            const std::string& key) const;

  Session& session_;
  std::vector<std::unique_ptr<Set>> sets_;
  std::size_t deciding_reward_ = 0;
};

}  // namespace grpo::train

#endif
