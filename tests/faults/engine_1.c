/* Requires version 1 of something that a process can hold once. */
#include "broken.h"

GRPO_MANIFEST({"name": "engine_1", "version": "1.0.0", "licence": "MIT", "requires": {"toy-engine": "1.0"},
               "components": [{"interface": "grpo.reward/1", "name": "engine_1"}]});
GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "engine_1", &broken_table);
