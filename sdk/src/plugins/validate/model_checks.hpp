// model_checks.hpp: the parts of the model's checks.
#ifndef GRPO_VALIDATE_MODEL_CHECKS_HPP
#define GRPO_VALIDATE_MODEL_CHECKS_HPP

#include "check.hpp"

namespace grpo::plugins::conformance {

std::span<const Check> model_forward_checks();
std::span<const Check> model_training_checks();
std::span<const Check> model_weights_checks();
std::span<const Check> model_decode_checks();

}  // namespace grpo::plugins::conformance

#endif
