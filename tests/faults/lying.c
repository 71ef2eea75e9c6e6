/* The manifest lists another component than the library gives. */
#include "broken.h"

BROKEN_MANIFEST("lying");
GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "other", &broken_table);
