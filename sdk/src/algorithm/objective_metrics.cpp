#include <algorithm>

#include "grpo/sdk/algorithm/objective.hpp"

namespace grpo::algorithm {

double Mean::value() const { return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN(); }

void ObjectiveMetrics::add_rollout_ratio(double ratio) {
  rollout_ratio.add(ratio);
  rollout_ratio_min = std::min(rollout_ratio_min, ratio);
  rollout_ratio_max = std::max(rollout_ratio_max, ratio);
}

void ObjectiveMetrics::merge(const ObjectiveMetrics& other) {
  loss += other.loss;
  policy_loss += other.policy_loss;
  kl.merge(other.kl);
  entropy.merge(other.entropy);
  clip_low.merge(other.clip_low);
  clip_high.merge(other.clip_high);
  clip_region.merge(other.clip_region);
  clip_low_min = std::min(clip_low_min, other.clip_low_min);
  clip_high_max = std::max(clip_high_max, other.clip_high_max);
  ratio.merge(other.ratio);
  ratio_max = std::max(ratio_max, other.ratio_max);
  approx_kl.merge(other.approx_kl);
  logp_difference.merge(other.logp_difference);
  logp_difference_max = std::max(logp_difference_max, other.logp_difference_max);
  covariance_share.merge(other.covariance_share);
  rollout_ratio.merge(other.rollout_ratio);
  rollout_ratio_min = std::min(rollout_ratio_min, other.rollout_ratio_min);
  rollout_ratio_max = std::max(rollout_ratio_max, other.rollout_ratio_max);
  tokens += other.tokens;
}

std::vector<std::pair<std::string, double>> ObjectiveMetrics::values() const {
  std::vector<std::pair<std::string, double>> out = {{"loss", loss}, {"policy_loss", policy_loss}};
  const auto add = [&](const char* name, double value, const Mean& measured) {
    if (measured.count > 0) out.emplace_back(name, value);
  };
  add("kl", kl.value(), kl);
  add("entropy", entropy.value(), entropy);
  add("clip_ratio/low_mean", clip_low.value(), clip_low);
  add("clip_ratio/low_min", clip_low_min, clip_low);
  add("clip_ratio/high_mean", clip_high.value(), clip_high);
  add("clip_ratio/high_max", clip_high_max, clip_high);
  add("clip_ratio/region_mean", clip_region.value(), clip_region);
  add("clip_ratio/covariance_mean", covariance_share.value(), covariance_share);
  add("ratio/mean", ratio.value(), ratio);
  add("ratio/max", ratio_max, ratio);
  add("approx_kl", approx_kl.value(), approx_kl);
  add("sampling/logp_difference/mean", logp_difference.value(), logp_difference);
  add("sampling/logp_difference/max", logp_difference_max, logp_difference);
  add("sampling/importance_ratio/mean", rollout_ratio.value(), rollout_ratio);
  add("sampling/importance_ratio/min", rollout_ratio_min, rollout_ratio);
  add("sampling/importance_ratio/max", rollout_ratio_max, rollout_ratio);
  return out;
}

}  // namespace grpo::algorithm
