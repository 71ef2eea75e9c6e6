// sampler_checks.hpp: the parts of the sampler's checks.
#ifndef GRPO_VALIDATE_SAMPLER_CHECKS_HPP
#define GRPO_VALIDATE_SAMPLER_CHECKS_HPP

#include "check.hpp"

namespace grpo::plugins::conformance {

std::span<const Check> sampler_completion_checks();
std::span<const Check> sampler_conduct_checks();

}  // namespace grpo::plugins::conformance

#endif
