/* Exports more than its entry: built without the version script. */
#include "broken.h"

BROKEN_MANIFEST("extra_symbols");

GRPO_EXPORT int helper_that_leaks(void);
int helper_that_leaks(void) { return 1; }

GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "extra_symbols", &broken_table);
