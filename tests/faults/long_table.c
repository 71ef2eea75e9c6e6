/* struct_size is that of another struct. */
#include "broken.h"

BROKEN_MANIFEST("long_table");

static const grpo_reward table = {
    .struct_size = sizeof(grpo_reward_batch), .open = broken_open, .close = broken_close, .score = broken_score};
GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "long_table", &table);
