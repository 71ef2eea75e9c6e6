/* One of two files that offer the same component. */
#include "broken.h"

GRPO_MANIFEST({"name": "twin_a", "version": "1.0.0", "licence": "MIT",
               "components": [{"interface": "grpo.reward/1", "name": "twin"}]});
GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "twin", &broken_table);
