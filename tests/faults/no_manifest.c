/* No manifest. */
#include "broken.h"

GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "no_manifest", &broken_table);
