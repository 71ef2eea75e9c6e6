/* Needs a library that the loader does not find. */
#include "broken.h"

BROKEN_MANIFEST("missing_dependency");

int grpo_gone(void);
static grpo_status open_with_it(const grpo_call* call, const grpo_options* options, void** handle) {
  return grpo_gone() ? broken_open(call, options, handle) : GRPO_STATUS_FAILED;
}
static const grpo_reward table = {
    .struct_size = sizeof(grpo_reward), .open = open_with_it, .close = broken_close, .score = broken_score};
GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "missing_dependency", &table);
