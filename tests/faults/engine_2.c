/* Requires version 2 of something that a process can hold once. */
#include "broken.h"

GRPO_MANIFEST({"name": "engine_2", "version": "1.0.0", "licence": "MIT", "requires": {"toy-engine": "2.0"},
               "components": [{"interface": "grpo.reward/1", "name": "engine_2"}]});
GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "engine_2", &broken_table);
