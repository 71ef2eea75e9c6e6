// A reward from which an exception escapes.
#include <grpo/reward.h>

#include <stdexcept>

GRPO_MANIFEST({"name": "broken_throws", "version": "0.1.0", "licence": "MIT",
               "components": [{"interface": "grpo.reward/1", "name": "throws"}]});

static grpo_status open_it(const grpo_call*, const grpo_options*, void** handle) {
  *handle = nullptr;
  return GRPO_STATUS_OK;
}
static void close_it(void*) {}
static grpo_status score(void*, const grpo_call*, const grpo_reward_batch*, const grpo_reward_result*) {
  throw std::runtime_error("nobody catches this");
}
static const grpo_reward table = {sizeof(grpo_reward), 0, open_it, close_it, nullptr, score};
GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "throws", &table);
