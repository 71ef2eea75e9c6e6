// best_of.hpp: what drawing several completions is worth: the best, the worst, the answer that most of them give.
//
// verl's best@n, worst@n and maj@n (verl/trainer/ppo/metric_utils.py, process_validation_metrics): of the completions
// of a question, n are drawn with replacement, a thousand times. The draws are verl's own (numpy's MT19937, seed 42),
// so the numbers are too. For right and wrong, pass@k has no noise and is not biased (evaluation.hpp); a vote, and the
// best of other scores, have no such formula.
#ifndef GRPO_SDK_TRAIN_BEST_OF_HPP
#define GRPO_SDK_TRAIN_BEST_OF_HPP

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "grpo/sdk/train/evaluation.hpp"

namespace grpo::train {

// Indices of `draws` samples of n out of `size`, one after the other: numpy's
// RandomState(seed).choice(size, (draws, n)). size, n at least 1. [any thread]
std::vector<std::uint32_t> bootstrap_indices(std::uint32_t size, std::int64_t n, std::int64_t draws = 1000,
                                             std::uint32_t seed = 42);

// Of one question, the means over the draws.
struct BestOf {
  double best = no_value, worst = no_value, majority = no_value;
};

// values: of the completions; not finite: left out of the best and the worst. votes: what each says, as a number of its
// own; empty: no vote. The majority's value is that of the first completion drawn that says what most say, and of two
// that as many say, the one drawn first. Throws grpo::Error when the sizes differ. [any thread]
BestOf best_of(std::span<const double> values, std::span<const std::int64_t> votes, std::int64_t n);

// What completions answer (kit/grading.hpp), as numbers: equal where the answers are spelled alike once normalised; one
// number for all without an answer.
std::vector<std::int64_t> votes_of(std::span<const std::string_view> completions);

// Gathers the questions of a set.
class BestOfTally {
 public:
  explicit BestOfTally(std::vector<std::int64_t> sizes);  // the n
  // right: 1 or 0; rewards: NaN where there is none. All of one length.
  void question(std::span<const double> right, std::span<const double> rewards,
                std::span<const std::string_view> completions);
  std::vector<BestOfN> result() const;

 private:
  struct Values {
    std::vector<double> accuracy_best, accuracy_worst, majority, reward_best, reward_worst;
  };
  std::vector<std::int64_t> sizes_;
  std::vector<Values> values_;
};

}  // namespace grpo::train

#endif
