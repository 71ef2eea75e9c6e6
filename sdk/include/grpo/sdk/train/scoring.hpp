// scoring.hpp: all rewards of a run, over a step's groups, beside the rollout.
//
// Main idea. Rewards run on threads of their own. A group is handed over the moment its last completion arrives, so a
// reward works while the others are still being generated; those that ask for the whole batch run when all is there.
//
//     scorer.begin(step);
//     ... scorer.add(group) as groups finish ...
//     scorer.settle();                           // of a step in pieces: those added so far have scores and reward
//     ScoreReport report = scorer.finish();      // samples now have scores and reward
//
// A call in this process that runs past its time limit cannot be ended. It is named in the log while the step waits for
// it, and left behind when it still has not come back after its grace (left_behind.hpp): its samples count as timed
// out, and the reward goes on in a process of its own. Without `reopen`, or when that fails, finish throws.
//
// A sample without a score is never a zero: it is counted, and its reward is NaN when no reward with a weight applies
// to it, or when one of those fails on it (the others alone would be another reward than its group's).
#ifndef GRPO_SDK_TRAIN_SCORING_HPP
#define GRPO_SDK_TRAIN_SCORING_HPP

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/reward.hpp"
#include "grpo/sdk/report/metrics.hpp"
#include "grpo/sdk/train/rollout.hpp"

namespace grpo::train {

// One reward of the run.
struct WeightedReward {
  std::string name;            // for metrics: "math"
  double weight = 1;           // 0: measured, never part of the sum
  double timeout_seconds = 0;  // of a call; 0: none
  std::shared_ptr<plugins::Reward> reward;
  bool isolated = false;     // in a process of its own, which ends when it does not come back
  double grace_seconds = 0;  // after the limit, until a call is left behind; 0: plugins::usual_grace
  // Another handle of it, isolated, in place of one with a call that was left behind; may throw. Null: there is none.
  std::function<std::shared_ptr<plugins::Reward>()> reopen = {};
};

// What to do when a reward fails on a sample (an error or a timeout, not "not applicable").
enum class OnRewardError {
  drop_sample,  // the sample has no reward: advantage 0, outside its group's statistics
  stop          // the run ends with the reward's message
};

struct ScoreReport {
  report::Metrics
      metrics;  // rewards/<name>/{mean,std,min,max (NaN: no score),na,errors,timeouts,seconds}, and components by name
  double seconds = 0;               // of scoring, summed over threads
  double waited = 0;                // of finish: what the rollout did not hide
  std::vector<std::string> errors;  // the first messages, each once, with the dataset's row
};

// A reward cannot be called any more; what was trained until now is as it was.
class RewardLost : public Error {
 public:
  using Error::Error;
};

class Scorer {
 public:
  // threads: at least 1. types: of the dataset's columns, see RewardBatch.
  Scorer(std::vector<WeightedReward> rewards, plugins::ColumnTypes types, OnRewardError on_error, int threads);
  ~Scorer();

  const std::vector<WeightedReward>& rewards() const;
  // A new step. The groups given to add stay where they are until finish has returned. types: of the columns of these
  // groups when they come from another dataset; null: as in the constructor.
  void begin(std::int64_t step, const plugins::ColumnTypes* types = nullptr);
  void add(Group& group);  // [any thread]
  // Waits for the groups added so far. Throws RewardLost. Not with a reward that wants the whole batch.
  void settle();
  bool wants_whole_batch() const;
  // Waits for all. Throws grpo::Error with the reward's message under OnRewardError::stop, RewardLost
  // when one hangs and cannot be opened again.
  ScoreReport finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace grpo::train

#endif
