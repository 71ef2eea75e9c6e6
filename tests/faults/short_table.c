/* Its table is shorter than revision 1: struct_size was forgotten. */
#include "broken.h"

BROKEN_MANIFEST("short_table");

static const grpo_reward table = {.open = broken_open, .close = broken_close, .score = broken_score};
GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "short_table", &table);
