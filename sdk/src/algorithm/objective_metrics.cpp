#include <algorithm>

#include "grpo/sdk/algorithm/objective.hpp"

namespace grpo::algorithm {

double Mean::value() const { return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN(); }

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
  add("ratio/mean", ratio.value(), ratio);
  add("ratio/max", ratio_max, ratio);
  add("approx_kl", approx_kl.value(), approx_kl);
  add("sampling/logp_difference/mean", logp_difference.value(), logp_difference);
  add("sampling/logp_difference/max", logp_difference_max, logp_difference);
  return out;
}

}  // namespace grpo::algorithm
