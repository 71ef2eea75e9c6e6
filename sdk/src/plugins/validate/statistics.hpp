// statistics.hpp: do counts follow a distribution?
#ifndef GRPO_VALIDATE_STATISTICS_HPP
#define GRPO_VALIDATE_STATISTICS_HPP

#include <cmath>
#include <vector>

namespace grpo::plugins::conformance {

struct Fit {
  double statistic = 0, bound = 0;
  int impossible = -1;  // an outcome of probability 0 that was seen; -1: none
};

// Pearson's chi-square; outcomes that are expected fewer than five times are counted together. bound: the quantile of
// 1 - 10^-6 by the approximation of Wilson and Hilferty (1931).
inline Fit chi_square(const std::vector<double>& probability, const std::vector<double>& seen) {
  Fit out;
  double n = 0, rest_expected = 0, rest_seen = 0;
  int classes = 0;
  for (const double count : seen) n += count;
  const auto add = [&](double expected, double count) {
    out.statistic += (count - expected) * (count - expected) / expected;
    ++classes;
  };
  for (std::size_t i = 0; i < probability.size(); ++i) {
    const double expected = probability[i] * n;
    if (probability[i] <= 0) {
      if (seen[i] > 0) out.impossible = static_cast<int>(i);
    } else if (expected < 5) {
      rest_expected += expected;
      rest_seen += seen[i];
    } else {
      add(expected, seen[i]);
    }
  }
  if (rest_expected >= 1) add(rest_expected, rest_seen);
  const double k = classes > 1 ? classes - 1 : 1, a = 2 / (9 * k);
  out.bound = k * std::pow(1 - a + 4.75 * std::sqrt(a), 3);
  return out;
}

}  // namespace grpo::plugins::conformance

#endif
