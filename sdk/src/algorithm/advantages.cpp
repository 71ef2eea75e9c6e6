// What all kinds share: checks, the walk over the groups, the statistics. The kinds themselves are in baselines.cpp.
#include "grpo/sdk/algorithm/advantages.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "baselines.hpp"
#include "moments.hpp"
#include "text.hpp"

namespace grpo::algorithm {

namespace {

void check_groups(std::span<const int64_t> group_start, size_t samples) {
  if (group_start.empty() || group_start.front() != 0 || group_start.back() != static_cast<int64_t>(samples)) {
    fail("group_start must begin with 0 and end with the number of samples, ", samples);
  }
  for (size_t g = 1; g < group_start.size(); ++g) {
    if (group_start[g] <= group_start[g - 1]) fail("group_start must rise: group ", g - 1, " is empty or negative");
  }
}

void check_input(AdvantageKind kind, const AdvantageInput& input) {
  const size_t samples = input.rewards.size();
  for (size_t i = 0; i < samples; ++i) {
    if (std::isinf(input.rewards[i]))
      fail("the reward of sample ", i, " is infinite: rewards must be finite, or NaN for none");
  }
  if (!(input.epsilon >= 0)) fail("advantage epsilon is ", input.epsilon, "; it must not be negative");
  check_groups(input.group_start, samples);
  if (!input.tokens.empty() && input.tokens.size() != samples)
    fail("advantages: tokens has ", input.tokens.size(), " values for ", samples, " samples");
  for (double count : input.tokens) {
    if (!(count >= 0) || std::isinf(count)) fail("advantages: a sample of ", count, " tokens");
  }
  if (kind != AdvantageKind::gdpo) return;
  if (input.weights.empty())
    fail("gdpo normalises every reward by itself: it needs the scores of each, not their sum alone");
  if (input.scores.size() != samples * input.weights.size()) {
    fail("advantages: scores has ", input.scores.size(), " values, ", samples, " samples with ", input.weights.size(),
         " rewards need ", samples * input.weights.size());
  }
  for (size_t i = 0; i < input.scores.size(); ++i) {
    if (std::isinf(input.scores[i]))
      fail("score ", i % input.weights.size(), " of sample ", i / input.weights.size(),
           " is infinite: scores must be finite, or NaN for none");
  }
}

AdvantageStatistics statistics_of(const AdvantageInput& input, std::span<const double> advantages) {
  AdvantageStatistics out;
  int64_t zero_std_samples = 0;
  for (size_t g = 0; g + 1 < input.group_start.size(); ++g) {
    const auto begin = static_cast<size_t>(input.group_start[g]);
    const auto size = static_cast<size_t>(input.group_start[g + 1]) - begin;
    const Moments of_group = moments(input.rewards.subspan(begin, size));
    if (of_group.count < 2 || !of_group.all_equal) continue;
    ++out.zero_std_groups;
    zero_std_samples += static_cast<int64_t>(size);
  }
  const auto samples = static_cast<double>(input.rewards.size());
  const Moments of_rewards = moments(input.rewards), of_advantages = moments(advantages);
  out.reward_mean = of_rewards.mean;
  out.reward_std = of_rewards.std;
  out.advantage_mean = of_advantages.mean;
  out.advantage_std = of_advantages.std;
  out.frac_reward_zero_std = samples == 0 ? 0 : static_cast<double>(zero_std_samples) / samples;
  out.not_applicable = static_cast<int64_t>(input.rewards.size()) - of_rewards.count;
  return out;
}

}  // namespace

bool of_group_alone(AdvantageKind kind) {
  return kind == AdvantageKind::group || kind == AdvantageKind::none || kind == AdvantageKind::rloo ||
         kind == AdvantageKind::opo || kind == AdvantageKind::passk;
}

std::vector<double> advantages(AdvantageKind kind, const AdvantageInput& input, AdvantageStatistics* statistics) {
  check_input(kind, input);
  std::vector<double> out = baseline_of(kind)(input);
  for (size_t i = 0; i < out.size(); ++i) {
    if (std::isnan(input.rewards[i]) || std::isnan(out[i])) out[i] = 0;
  }
  if (statistics) *statistics = statistics_of(input, out);
  return out;
}

std::vector<double> advantages(AdvantageKind kind, std::span<const double> rewards,
                               std::span<const int64_t> group_start, double epsilon, AdvantageStatistics* statistics) {
  return advantages(
      kind,
      {.rewards = rewards, .group_start = group_start, .epsilon = epsilon, .tokens = {}, .scores = {}, .weights = {}},
      statistics);
}

std::vector<double> reinforce_pp_advantages(std::span<const double> rewards, std::span<const int64_t> start,
                                            std::span<const double> penalty, double gamma) {
  if (!(gamma >= 0 && gamma <= 1)) fail("gamma is ", gamma, "; it must be in [0, 1]");
  if (start.size() != rewards.size() + 1 || start.front() != 0)
    fail("advantages: start must hold rows + 1 values from 0 on");
  for (size_t row = 1; row < start.size(); ++row) {
    if (start[row] < start[row - 1]) fail("advantages: start falls at row ", row - 1);
  }
  const auto tokens = static_cast<size_t>(start.back());
  if (!penalty.empty() && penalty.size() != tokens)
    fail("advantages: penalty has ", penalty.size(), " values for ", tokens, " tokens");

  std::vector<double> out(tokens, std::numeric_limits<double>::quiet_NaN());
  for (size_t row = 0; row + 1 < start.size(); ++row) {
    if (std::isinf(rewards[row])) fail("the reward of sample ", row, " is infinite: rewards must be finite, or NaN");
    if (std::isnan(rewards[row])) continue;
    double coming = 0;  // the discounted return after this token
    for (auto t = static_cast<size_t>(start[row + 1]); t-- > static_cast<size_t>(start[row]);) {
      const bool last = t + 1 == static_cast<size_t>(start[row + 1]);
      coming = (last ? rewards[row] : 0) - (penalty.empty() ? 0 : penalty[t]) + gamma * coming;
      out[t] = coming;
    }
  }
  whiten(out, {});
  for (double& value : out) {
    if (std::isnan(value)) value = 0;
  }
  return out;
}

}  // namespace grpo::algorithm
