// moments.hpp: mean and deviation of values some of which may be missing.
#ifndef GRPO_SRC_ALGORITHM_MOMENTS_HPP
#define GRPO_SRC_ALGORITHM_MOMENTS_HPP

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

namespace grpo::algorithm {

// Of the values that are not NaN. Two passes: rewards may be large and close together.
struct Moments {
  int64_t count = 0;
  double mean = std::numeric_limits<double>::quiet_NaN();
  double std = std::numeric_limits<double>::quiet_NaN();  // unbiased; NaN for fewer than two
  bool all_equal = true;
};

inline Moments moments(std::span<const double> values) {
  Moments out;
  double sum = 0, lowest = 0, highest = 0;
  for (double value : values) {
    if (std::isnan(value)) continue;
    lowest = out.count == 0 ? value : std::min(lowest, value);
    highest = out.count == 0 ? value : std::max(highest, value);
    sum += value;
    ++out.count;
  }
  out.all_equal = lowest == highest;
  if (out.count == 0) return out;
  out.mean = out.all_equal ? lowest : sum / static_cast<double>(out.count);
  if (out.count < 2) return out;
  double squares = 0;
  for (double value : values) squares += std::isnan(value) ? 0 : (value - out.mean) * (value - out.mean);
  out.std = std::sqrt(squares / static_cast<double>(out.count - 1));
  return out;
}

// In place: (x - mean) / sqrt(variance + 1e-8), each value counted `times` times (empty: once), the variance unbiased
// by that count: verl's masked_whiten. NaN stays; without two values to compare all others become 0.
void whiten(std::span<double> values, std::span<const double> times);

}  // namespace grpo::algorithm

#endif
