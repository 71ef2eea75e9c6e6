// evaluation.hpp: what an evaluation found, and the forms it is told in: a table, JSON, metrics.
//
// Main idea. A set of questions is asked greedily, by several samples, or both. Each way has its own summary; pass@k
// comes from the samples. Shares are 0..1 here and in JSON; the table has per cent.
//
// Standard errors are of the mean over questions: with several samples of a question, these are averaged first, since
// they are no independent draws (Miller, "Adding Error Bars to Evals", arXiv:2411.00640).
#ifndef GRPO_SDK_TRAIN_EVALUATION_HPP
#define GRPO_SDK_TRAIN_EVALUATION_HPP

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "grpo/sdk/report/metrics.hpp"
#include "grpo/sdk/train/rollout.hpp"

namespace grpo::train {

// The probability that k of n samples, drawn without replacement, hold at least one of the `correct` right ones:
// 1 - C(n - correct, k) / C(n, k), the unbiased estimator of pass@k (Chen et al., arXiv:2107.03374). 0 <= correct <= n,
// 1 <= k <= n.
double pass_at_k(std::int64_t n, std::int64_t correct, std::int64_t k);

struct Estimate {
  double value = no_value;  // NaN: not known
  double stderr_ = no_value;
};
// Mean of what is finite, and its standard error; one value has none.
Estimate mean_of(std::span<const double> values);

// One way of asking, greedy or sampled.
struct AskedOnce {
  std::int64_t completions = 0;
  Estimate accuracy;         // by evaluation.reward
  Estimate strict, lenient;  // by the answer in \boxed{} alone; by an answer in any form, the last number too. NaN: no
                             // ground truth
  double mean_length = no_value, clipped_ratio = no_value, reward = no_value;
  std::vector<std::pair<std::string, double>> rewards;  // mean of each, before its weight
};

// best_of.hpp, means over questions; of the majority the accuracy.
struct BestOfN {
  std::int64_t n = 0;
  Estimate accuracy_best, accuracy_worst, majority, reward_best, reward_worst;
};

struct DatasetResult {
  std::string name, path;
  std::int64_t questions = 0;  // that were asked
  std::int64_t rows = 0;       // that there are
  std::int64_t samples = 0;    // of each question in `sampled`
  double temperature = 0;      // of these
  std::int64_t max_new_tokens = 0;
  std::optional<AskedOnce> greedy, sampled;
  std::vector<std::pair<std::int64_t, Estimate>> pass_at;  // by k, rising; only where samples reach k
  std::vector<BestOfN> best_of;                            // likewise
  double seconds = 0;

  bool complete() const { return questions == rows; }
  // What accuracy stands for: the samples where there are any.
  const AskedOnce& main() const { return sampled ? *sampled : *greedy; }
};

struct Evaluation {
  std::vector<DatasetResult> datasets;  // those that were begun
  bool complete = false;                // false: stopped before the end
};

// AReaL's table: | dataset | num_questions | greedy_length | sample_length | greedy_acc | sample_pass@1 | pass@8 | ...
// | with the k of `pass_k`. "-" where a way was not asked. A set that was not asked to its end is marked with *.
std::string table(const Evaluation& evaluation, std::span<const std::int64_t> pass_k);

nlohmann::ordered_json to_json(const Evaluation& evaluation);

// eval/accuracy and the others of docs/metrics.md. Of several sets: each under eval/<name>/, and eval/ the mean over
// the sets that have the number.
report::Metrics metrics_of(const Evaluation& evaluation);

// A line for people: "gsm8k: greedy 43.4 % +-1.4, pass@8 71.0 %, ...".
std::string summary_line(const DatasetResult& result);

}  // namespace grpo::train

#endif
