/* Its table lacks a function. */
#include "broken.h"

BROKEN_MANIFEST("hollow");

static const grpo_reward hollow = {.struct_size = sizeof(grpo_reward), .open = broken_open, .close = broken_close};
GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "hollow", &hollow);
