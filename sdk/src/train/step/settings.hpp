// settings.hpp: what the configuration says of a GRPO run, in the words of the parts that do it.
#ifndef GRPO_SRC_TRAIN_STEP_SETTINGS_HPP
#define GRPO_SRC_TRAIN_STEP_SETTINGS_HPP

#include <vector>

#include "grpo/sdk/train/advantage.hpp"
#include "grpo/sdk/train/checkpoint.hpp"
#include "grpo/sdk/train/scoring.hpp"
#include "grpo/sdk/train/update.hpp"

namespace grpo::train {

// Refuses what cannot train, and warns of what hardly does, before anything is loaded. Returns its argument. Throws
// grpo::Error, which names the key.
const config::Config& checked_for_grpo(const config::Config& config);

// Of a run that begins; `fixed` holds what a resumed run may not change.
TrainerState initial_grpo_state(const config::Config& config);

UpdateOptions update_options(const config::Config& config);

// With the weights of these rewards.
AdvantageOptions advantage_options(const config::Config& config, const std::vector<WeightedReward>& rewards);

}  // namespace grpo::train

#endif
