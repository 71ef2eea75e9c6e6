// baselines.hpp: one function a kind of advantage.
#ifndef GRPO_SRC_ALGORITHM_BASELINES_HPP
#define GRPO_SRC_ALGORITHM_BASELINES_HPP

#include <vector>

#include "grpo/sdk/algorithm/advantages.hpp"

namespace grpo::algorithm {

// Of checked input. NaN where there is nothing to say about a sample.
using Baseline = std::vector<double> (*)(const AdvantageInput& input);
Baseline baseline_of(AdvantageKind kind);

}  // namespace grpo::algorithm

#endif
