// advantage.hpp: advantages of a rollout's samples, by the section `algorithm`; a KL in the reward is taken off first.
#ifndef GRPO_SDK_TRAIN_ADVANTAGE_HPP
#define GRPO_SDK_TRAIN_ADVANTAGE_HPP

#include <optional>
#include <span>
#include <vector>

#include "grpo/sdk/algorithm/advantages.hpp"
#include "grpo/sdk/algorithm/objective.hpp"
#include "grpo/sdk/train/rollout.hpp"

namespace grpo::config {
struct Config;
}

namespace grpo::train {

// R - coefficient x (sum over the completion's tokens of the KL estimate between old and reference policy), as in PPO
// and verl's use_kl_in_reward.
struct KlPenalty {
  double coefficient = 0;
  algorithm::KlEstimator estimator = algorithm::KlEstimator::k1;
};

struct AdvantageOptions {
  algorithm::AdvantageKind kind = algorithm::AdvantageKind::group;
  double epsilon = 1e-4;
  double gamma = 1;             // reinforce_pp
  std::vector<double> weights;  // of the rewards: gdpo
  std::optional<KlPenalty> kl;
};

// The configuration's, without the rewards' weights.
AdvantageOptions advantage_options(const config::Config& config);

struct AdvantageReport {
  algorithm::AdvantageStatistics statistics;  // the reward's are those before the penalty
  double kl = no_value;                       // mean over completions of their mean over tokens; NaN without a penalty
  double penalty = no_value;                  // mean of what was taken off the rewards
};

// Writes advantage, and token_advantage where it differs from token to token (reinforce_pp with a penalty or a gamma
// other than 1). With a penalty, old_logprob and reference_logprob must be there (Updater::prepare). Throws
// grpo::Error.
AdvantageReport assign_advantages(std::span<Group> groups, const AdvantageOptions& options);

}  // namespace grpo::train

#endif
