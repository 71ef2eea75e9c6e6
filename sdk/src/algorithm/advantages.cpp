#include "grpo/sdk/algorithm/advantages.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "text.hpp"

namespace grpo::algorithm {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// Of the values that are not NaN. Two passes: rewards may be large and close together.
struct Moments {
  int64_t count = 0;
  double mean = nan;
  double std = nan;  // unbiased; NaN for fewer than two
  bool all_equal = true;
};

Moments moments(std::span<const double> values) {
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

void check_input(std::span<const double> rewards, std::span<const int64_t> group_start, double epsilon) {
  for (size_t i = 0; i < rewards.size(); ++i) {
    if (std::isinf(rewards[i]))
      fail("the reward of sample ", i, " is infinite: rewards must be finite, or NaN for none");
  }
  if (!(epsilon >= 0)) fail("advantage epsilon is ", epsilon, "; it must not be negative");
  if (group_start.empty() || group_start.front() != 0 || group_start.back() != static_cast<int64_t>(rewards.size())) {
    fail("group_start must begin with 0 and end with the number of samples, ", rewards.size());
  }
  for (size_t g = 1; g < group_start.size(); ++g) {
    if (group_start[g] <= group_start[g - 1]) fail("group_start must rise: group ", g - 1, " is empty or negative");
  }
}

double divisor(AdvantageKind kind, double group_std, double batch_std, double epsilon) {
  switch (kind) {
    case AdvantageKind::none:
      return 1;
    case AdvantageKind::group:
      return group_std + epsilon;
    case AdvantageKind::batch:
      return batch_std + epsilon;
  }
  return nan;
}

}  // namespace

std::vector<double> advantages(AdvantageKind kind, std::span<const double> rewards,
                               std::span<const int64_t> group_start, double epsilon, AdvantageStatistics* statistics) {
  check_input(rewards, group_start, epsilon);
  const Moments batch = moments(rewards);
  // A batch of one sample has no deviation; like a group of one it is measured in its own unit.
  const double batch_std = batch.count < 2 ? 1 : batch.std;

  std::vector<double> out(rewards.size(), 0.0);
  int64_t zero_std_groups = 0, zero_std_samples = 0;
  for (size_t g = 0; g + 1 < group_start.size(); ++g) {
    const size_t begin = static_cast<size_t>(group_start[g]);
    const size_t size = static_cast<size_t>(group_start[g + 1]) - begin;
    const auto group = rewards.subspan(begin, size);
    Moments of_group = moments(group);
    if (size == 1) {
      of_group.mean = 0;
      of_group.std = 1;
    } else if (of_group.count < 2 || of_group.all_equal) {
      if (of_group.count >= 2) ++zero_std_groups, zero_std_samples += static_cast<int64_t>(size);
      continue;
    }
    const double scale = divisor(kind, of_group.std, batch_std, epsilon);
    for (size_t i = 0; i < size; ++i) {
      if (!std::isnan(group[i])) out[begin + i] = (group[i] - of_group.mean) / scale;
    }
  }

  if (statistics) {
    const Moments of_advantages = moments(out);
    statistics->reward_mean = batch.mean;
    statistics->reward_std = batch.std;
    statistics->advantage_mean = of_advantages.mean;
    statistics->advantage_std = of_advantages.std;
    statistics->zero_std_groups = zero_std_groups;
    statistics->frac_reward_zero_std =
        rewards.empty() ? 0 : static_cast<double>(zero_std_samples) / static_cast<double>(rewards.size());
    statistics->not_applicable = static_cast<int64_t>(rewards.size()) - batch.count;
  }
  return out;
}

}  // namespace grpo::algorithm
