#include "grpo/sdk/plugins/checked.hpp"

#include <grpo/model.h>
#include <grpo/optimizer.h>
#include <grpo/reward.h>
#include <grpo/sampler.h>

#include <cstdlib>
#include <cstring>

#include "kinds.hpp"

namespace grpo::plugins {

std::shared_ptr<const Component> checked(std::shared_ptr<const Component> inner, CheckSettings settings) {
  const std::string& id = inner->manifest.interface_id;
  const check::Reporter reporter{inner, std::move(settings.sink)};
  if (id == GRPO_REWARD_ID) return layered(check::check_reward(reporter));
  if (id == GRPO_MODEL_ID) return layered(check::check_model(reporter));
  if (id == GRPO_SAMPLER_ID) return layered(check::check_sampler(reporter));
  if (id == GRPO_OPTIMIZER_ID) return layered(check::check_optimizer(reporter));
  return inner;
}

bool check_by_default() {
  if (const char* said = std::getenv("GRPO_CHECK_PLUGINS"); said && *said) return std::strcmp(said, "0") != 0;
#ifdef NDEBUG
  return false;
#else
  return true;
#endif
}

}  // namespace grpo::plugins
