// row_ratio.hpp: how far the policy has moved on one row, at each of the ratio levels.
#ifndef GRPO_SRC_ALGORITHM_ROW_RATIO_HPP
#define GRPO_SRC_ALGORITHM_ROW_RATIO_HPP

#include <algorithm>
#include <cmath>
#include <vector>

#include "batch_view.hpp"
#include "terms/term.hpp"

namespace grpo::algorithm {

// One row's ratios: the value for each token, and how its derivative returns to the tokens' log-probabilities.
struct RowRatio {
  std::vector<double> log_ratio;        // of the level, guarded, per token of the row; masked ones unused
  std::vector<double> token_log_ratio;  // of each token alone, guarded
  std::vector<double> sensitivity;      // dlog r / dlogprob_t; at sequence level, r is one for the row
  double sequence_log_weight = 0;       // see weigh_sequence; 0 where the term does not read it
  double count = 0;                     // masked tokens

  template <class Real>
  void compute(const ObjectiveOptions& options, const TermUnit& unit, const View<Real>& view, size_t row) {
    const size_t begin = view.begin(row), size = view.end(row) - begin;
    const double limit = options.log_ratio_limit;
    log_ratio.assign(size, 0);
    token_log_ratio.assign(size, 0);
    sensitivity.assign(size, 0);
    sequence_log_weight = count = 0;
    double sum = 0;
    for (size_t i = 0; i < size; ++i) {
      if (!view.kept(begin + i)) continue;
      log_ratio[i] = view.logprob(row, begin + i) - view.old_logprob(row, begin + i);
      sum += log_ratio[i];
      token_log_ratio[i] = std::clamp(log_ratio[i], -limit, limit);
      count += 1;
    }
    if (unit.reads_sequence_weight) weigh_sequence(view, row);
    if (options.ratio == RatioLevel::token) {
      for (size_t i = 0; i < size; ++i) {
        sensitivity[i] = std::abs(log_ratio[i]) <= limit ? 1 : 0;
        log_ratio[i] = std::clamp(log_ratio[i], -limit, limit);
      }
      return;
    }
    if (options.term == PolicyTerm::gmpo) return geometric(options, view, row);
    const double mean = sum / std::max(count, 1.0);
    const double slope = std::abs(mean) <= limit ? 1 : 0;
    const double share = options.ratio == RatioLevel::sequence ? 1 / std::max(count, 1.0) : 1;
    std::fill(log_ratio.begin(), log_ratio.end(), std::clamp(mean, -limit, limit));
    std::fill(sensitivity.begin(), sensitivity.end(), slope * share);
  }

 private:
  // The sum of the token log-ratios, each within +-20, and of the log rollout corrections.
  template <class Real>
  void weigh_sequence(const View<Real>& view, size_t row) {
    const size_t begin = view.begin(row);
    for (size_t i = 0; i < log_ratio.size(); ++i) {
      if (!view.kept(begin + i)) continue;
      sequence_log_weight += std::clamp(log_ratio[i], -20.0, 20.0);
      sequence_log_weight += std::clamp(std::log(view.importance_ratio(row, begin + i)), std::log(1e-8), 20.0);
    }
  }

  // GMPO: the mean of log ratios that are clipped one by one.
  template <class Real>
  void geometric(const ObjectiveOptions& options, const View<Real>& view, size_t row) {
    const size_t begin = view.begin(row);
    double sum = 0;
    for (size_t i = 0; i < log_ratio.size(); ++i) {
      if (!view.kept(begin + i)) continue;
      const double advantage = view.advantage(row, begin + i), own = token_log_ratio[i];
      const bool clipped = gmpo_clips(options, own, advantage);
      sum += !clipped ? own : advantage > 0 ? options.clip_high : -options.clip_low;
      sensitivity[i] = clipped || std::abs(log_ratio[i]) > options.log_ratio_limit ? 0 : 1 / count;
    }
    std::fill(log_ratio.begin(), log_ratio.end(), sum / std::max(count, 1.0));
  }
};

}  // namespace grpo::algorithm

#endif
