#include "baselines.hpp"

#include <cmath>
#include <limits>

#include "moments.hpp"
#include "text.hpp"

namespace grpo::algorithm {

void whiten(std::span<double> values, std::span<const double> times) {
  const auto times_of = [&](size_t i) { return times.empty() ? 1.0 : times[i]; };
  double count = 0, sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isnan(values[i])) count += times_of(i), sum += times_of(i) * values[i];
  }
  const double mean = count > 0 ? sum / count : 0;
  double squares = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isnan(values[i])) squares += times_of(i) * (values[i] - mean) * (values[i] - mean);
  }
  const double scale = count > 1 ? 1 / std::sqrt(squares / (count - 1) + 1e-8) : 0;
  for (double& value : values) {
    if (!std::isnan(value)) value = (value - mean) * scale;
  }
}

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// What a kind makes of one group: writes an advantage for every sample; missing rewards are seen to by the caller.
struct Group {
  std::span<const double> rewards;
  std::span<const double> tokens;  // empty: one each
  Moments of;                      // of the rewards; of a group of one: mean 0, std 1
  std::span<double> out;
};

// Groups that have something to compare go to `each`; the others keep 0.
template <class Each>
std::vector<double> by_group(const AdvantageInput& input, const Each& each) {
  std::vector<double> out(input.rewards.size(), 0.0);
  for (size_t g = 0; g + 1 < input.group_start.size(); ++g) {
    const auto begin = static_cast<size_t>(input.group_start[g]);
    const auto size = static_cast<size_t>(input.group_start[g + 1]) - begin;
    Group group = {input.rewards.subspan(begin, size),
                   input.tokens.empty() ? input.tokens : input.tokens.subspan(begin, size),
                   moments(input.rewards.subspan(begin, size)),
                   {out.data() + begin, size}};
    if (size == 1) {
      group.of.mean = 0;
      group.of.std = 1;
    } else if (group.of.count < 2 || group.of.all_equal) {
      continue;
    }
    each(group);
  }
  return out;
}

std::vector<double> centred(const AdvantageInput& input) {
  return by_group(input, [](const Group& g) {
    for (size_t i = 0; i < g.out.size(); ++i) g.out[i] = g.rewards[i] - g.of.mean;
  });
}

std::vector<double> scaled_by_group(const AdvantageInput& input) {
  return by_group(input, [&](const Group& g) {
    for (size_t i = 0; i < g.out.size(); ++i) g.out[i] = (g.rewards[i] - g.of.mean) / (g.of.std + input.epsilon);
  });
}

std::vector<double> scaled_by_batch(const AdvantageInput& input) {
  const Moments batch = moments(input.rewards);
  // A batch of one sample has no deviation; like a group of one it is measured in its own unit.
  const double scale = (batch.count < 2 ? 1 : batch.std) + input.epsilon;
  std::vector<double> out = centred(input);
  for (double& value : out) value /= scale;
  return out;
}

std::vector<double> leave_one_out(const AdvantageInput& input) {
  return by_group(input, [](const Group& g) {
    const auto n = static_cast<double>(g.of.count);
    const double factor = n > 1 ? n / (n - 1) : 1;
    for (size_t i = 0; i < g.out.size(); ++i) g.out[i] = (g.rewards[i] - g.of.mean) * factor;
  });
}

std::vector<double> length_weighted(const AdvantageInput& input) {
  return by_group(input, [](const Group& g) {
    double tokens = 0, sum = 0;
    for (size_t i = 0; i < g.out.size(); ++i) {
      const double count = g.tokens.empty() ? 1 : g.tokens[i];
      if (!std::isnan(g.rewards[i])) tokens += count, sum += count * g.rewards[i];
    }
    const double baseline = g.out.size() == 1 ? 0 : tokens > 0 ? sum / tokens : g.of.mean;
    for (size_t i = 0; i < g.out.size(); ++i) g.out[i] = g.rewards[i] - baseline;
  });
}

std::vector<double> best_alone(const AdvantageInput& input) {
  return by_group(input, [&](const Group& g) {
    if (g.out.size() < 2) return;
    size_t best = 0;
    double second = -std::numeric_limits<double>::infinity();
    while (std::isnan(g.rewards[best])) ++best;
    for (size_t i = best + 1; i < g.out.size(); ++i) {
      if (std::isnan(g.rewards[i])) continue;
      if (g.rewards[i] > g.rewards[best]) {
        second = g.rewards[best];
        best = i;
      } else {
        second = std::max(second, g.rewards[i]);
      }
    }
    g.out[best] = (g.rewards[best] - second) / (g.of.std + input.epsilon);
  });
}

// A sample whose reward is missing is outside everything, whatever single scores it may have.
std::vector<double> decoupled(const AdvantageInput& input) {
  const size_t samples = input.rewards.size(), rewards = input.weights.size();
  std::vector<double> sum(samples, 0.0), score(samples);
  for (size_t k = 0; k < rewards; ++k) {
    for (size_t i = 0; i < samples; ++i) score[i] = std::isnan(input.rewards[i]) ? nan : input.scores[i * rewards + k];
    AdvantageInput one = input;
    one.rewards = score;
    const auto part = scaled_by_group(one);
    for (size_t i = 0; i < samples; ++i) sum[i] += std::isnan(score[i]) ? 0 : input.weights[k] * part[i];
  }
  for (size_t i = 0; i < samples; ++i) {
    if (std::isnan(input.rewards[i])) sum[i] = nan;
  }
  const Moments batch = moments(sum);
  const double scale = (batch.count < 2 ? 1 : batch.std) + input.epsilon;
  for (double& value : sum) value = (value - batch.mean) / scale;
  return sum;
}

std::vector<double> whitened(const AdvantageInput& input) {
  std::vector<double> out(input.rewards.begin(), input.rewards.end());
  whiten(out, input.tokens);
  return out;
}

std::vector<double> whitened_over_baseline(const AdvantageInput& input) {
  std::vector<double> out = centred(input);
  for (size_t i = 0; i < out.size(); ++i) {
    if (std::isnan(input.rewards[i])) out[i] = nan;
  }
  whiten(out, input.tokens);
  return out;
}

// Where few completions have a reward, each counts for more.
std::vector<double> scaled_by_rewarded(const AdvantageInput& input) {
  double samples = 0, rewarded = 0;
  for (const double reward : input.rewards)
    if (!std::isnan(reward)) ++samples, rewarded += reward != 0;
  std::vector<double> out = centred(input);
  for (double& value : out) value *= samples / std::max(rewarded, 1.0);
  return out;
}

}  // namespace

Baseline baseline_of(AdvantageKind kind) {
  switch (kind) {
    case AdvantageKind::group:
      return scaled_by_group;
    case AdvantageKind::none:
      return centred;
    case AdvantageKind::batch:
      return scaled_by_batch;
    case AdvantageKind::rloo:
      return leave_one_out;
    case AdvantageKind::opo:
      return length_weighted;
    case AdvantageKind::passk:
      return best_alone;
    case AdvantageKind::gdpo:
      return decoupled;
    case AdvantageKind::reinforce_pp:
      return whitened;
    case AdvantageKind::reinforce_pp_baseline:
      return whitened_over_baseline;
    case AdvantageKind::gpg:
      return scaled_by_rewarded;
  }
  fail("advantage kind ", static_cast<int>(kind), " is not one of AdvantageKind");
}

}  // namespace grpo::algorithm
