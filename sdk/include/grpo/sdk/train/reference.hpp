// reference.hpp: a reference model that follows the policy in jumps: TRL's sync_ref_model (TR-DPO, Gorbatovski et al.
// 2024), every N steps
//
//     reference = alpha x policy + (1 - alpha) x reference        alpha = 1: a copy
//
// Both models stay where they are, weight after weight passes through host memory. A renewed reference is part of the
// run's state: a checkpoint holds it in full precision as reference.safetensors, and resuming reads it back.
#ifndef GRPO_SDK_TRAIN_REFERENCE_HPP
#define GRPO_SDK_TRAIN_REFERENCE_HPP

#include <cstdint>
#include <filesystem>

#include "grpo/sdk/plugins/model.hpp"

namespace grpo::train {

// Throws grpo::Error, naming the reference's component, when it can neither import weights nor has them in host memory.
void check_can_renew(const plugins::Model& reference);

// 0 < alpha <= 1; version: told to the model. Throws grpo::Error when a tensor of the policy has no equal in the
// reference by name and size. The session's thread.
void renew_reference(plugins::Model& reference, plugins::Model& policy, double alpha, std::int64_t version);

// The reference's values into directory/reference.safetensors, in float32.
void save_reference(plugins::Model& reference, const std::filesystem::path& directory);

// The reverse; false: the checkpoint has none, since it had not been renewed by then.
bool restore_reference(plugins::Model& reference, const std::filesystem::path& checkpoint, std::int64_t version);

}  // namespace grpo::train

#endif
