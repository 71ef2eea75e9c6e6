// kinds.hpp: the checked component of each kind.
#ifndef GRPO_PLUGINS_CHECK_KINDS_HPP
#define GRPO_PLUGINS_CHECK_KINDS_HPP

#include <memory>

#include "layers/layer.hpp"
#include "opened.hpp"

namespace grpo::plugins::check {

std::shared_ptr<const Layer> check_reward(const Reporter& reporter);
std::shared_ptr<const Layer> check_model(const Reporter& reporter);
std::shared_ptr<const Layer> check_sampler(const Reporter& reporter);
std::shared_ptr<const Layer> check_optimizer(const Reporter& reporter);

}  // namespace grpo::plugins::check

#endif
