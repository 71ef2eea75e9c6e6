#include "grpo/sdk/algorithm/weights.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "text.hpp"

namespace grpo::algorithm {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

void check_size(const char* name, size_t size, size_t wanted) {
  if (size != wanted) fail(name, " has ", size, " elements, ", wanted, " are needed");
}

size_t token_count(std::span<const int64_t> start) {
  if (start.empty()) fail("start is empty; it needs rows + 1 elements");
  return static_cast<size_t>(start.back());
}

bool of_rows(RolloutCorrection kind) {
  return kind == RolloutCorrection::sequence_truncate || kind == RolloutCorrection::sequence_mask;
}

bool kept(std::span<const uint8_t> mask, size_t token) { return mask.empty() || mask[token] != 0; }

}  // namespace

std::vector<double> rollout_ratio(RolloutCorrection kind, std::optional<double> min, std::optional<double> max,
                                  std::span<const int64_t> start, std::span<const double> old_logprob,
                                  std::span<const double> sampled_logprob, std::span<const uint8_t> mask) {
  const size_t tokens = token_count(start);
  check_size("old_logprob", old_logprob.size(), tokens);
  check_size("sampled_logprob", sampled_logprob.size(), tokens);
  if (!mask.empty()) check_size("mask", mask.size(), tokens);

  std::vector<double> log_ratio(tokens, 0.0);
  for (size_t t = 0; t < tokens; ++t) {
    if (kept(mask, t) && !std::isnan(sampled_logprob[t])) log_ratio[t] = old_logprob[t] - sampled_logprob[t];
  }
  if (of_rows(kind)) {
    for (size_t row = 0; row + 1 < start.size(); ++row) {
      const auto begin = log_ratio.begin() + start[row], end = log_ratio.begin() + start[row + 1];
      double sum = 0;
      for (auto at = begin; at != end; ++at) sum += *at;
      std::fill(begin, end, sum);
    }
  }

  const bool truncate = kind == RolloutCorrection::token_truncate || kind == RolloutCorrection::sequence_truncate;
  const double lowest = min.value_or(-infinity), highest = max.value_or(infinity);
  if (lowest > highest) fail("rollout correction: the lower bound ", lowest, " exceeds the upper bound ", highest);
  for (double& value : log_ratio) {
    const double ratio = std::exp(value);
    const bool inside = ratio >= lowest && ratio <= highest;
    value = inside ? ratio : truncate ? std::clamp(ratio, lowest, highest) : 0;
  }
  return log_ratio;
}

std::vector<double> ratios_to_tell(RolloutCorrection kind, std::span<const int64_t> start,
                                   std::span<const double> ratio, std::span<const uint8_t> mask) {
  const size_t tokens = token_count(start);
  check_size("ratio", ratio.size(), tokens);
  if (!mask.empty()) check_size("mask", mask.size(), tokens);
  std::vector<double> out;
  for (size_t row = 0; row + 1 < start.size(); ++row)
    for (auto t = static_cast<size_t>(start[row]); t < static_cast<size_t>(start[row + 1]); ++t) {
      if (!kept(mask, t)) continue;
      out.push_back(ratio[t]);
      if (of_rows(kind)) break;
    }
  return out;
}

std::vector<double> off_policy_mask(double threshold, std::span<const int64_t> start, std::span<const double> logprob,
                                    std::span<const double> sampled_logprob, std::span<const double> advantage,
                                    std::span<const uint8_t> mask) {
  const size_t tokens = token_count(start);
  check_size("logprob", logprob.size(), tokens);
  check_size("sampled_logprob", sampled_logprob.size(), tokens);
  check_size("advantage", advantage.size(), start.size() - 1);
  if (!mask.empty()) check_size("mask", mask.size(), tokens);

  std::vector<double> out(tokens, 1.0);
  for (size_t row = 0; row + 1 < start.size(); ++row) {
    double sum = 0, count = 0;
    for (auto t = static_cast<size_t>(start[row]); t < static_cast<size_t>(start[row + 1]); ++t) {
      if (!kept(mask, t)) continue;
      count += 1;
      if (!std::isnan(sampled_logprob[t])) sum += sampled_logprob[t] - logprob[t];
    }
    const bool drop = advantage[row] < 0 && sum / std::max(count, 1.0) > threshold;
    if (drop) std::fill(out.begin() + start[row], out.begin() + start[row + 1], 0.0);
  }
  return out;
}

double entropy_quantile(std::span<const double> entropy, std::span<const uint8_t> mask, double q) {
  if (!(q >= 0 && q <= 1)) fail("entropy quantile is ", q, "; it must be in [0, 1]");
  if (!mask.empty()) check_size("mask", mask.size(), entropy.size());
  std::vector<double> values;
  for (size_t t = 0; t < entropy.size(); ++t) {
    if (kept(mask, t)) values.push_back(entropy[t]);
  }
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  // In fp32, as torch.quantile has it: a rank meant to be whole, such as 0.3 x 10, must not land a hair above.
  const double rank = static_cast<float>(q) * static_cast<float>(values.size() - 1);
  const auto below = static_cast<std::ptrdiff_t>(rank);
  std::nth_element(values.begin(), values.begin() + below, values.end());
  const double low = values[static_cast<size_t>(below)];
  const double share = rank - static_cast<double>(below);
  if (share == 0) return low;
  return low + share * (*std::min_element(values.begin() + below + 1, values.end()) - low);
}

std::vector<uint8_t> top_entropy_mask(std::span<const double> entropy, std::span<const uint8_t> mask,
                                      double threshold) {
  if (!mask.empty()) check_size("mask", mask.size(), entropy.size());
  std::vector<uint8_t> out(entropy.size(), 0);
  for (size_t t = 0; t < entropy.size(); ++t) out[t] = kept(mask, t) && entropy[t] >= threshold;
  return out;
}

}  // namespace grpo::algorithm
