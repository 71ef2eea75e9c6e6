/* A manifest and no entry. */
#include "broken.h"

BROKEN_MANIFEST("no_entry");

static const grpo_reward* const table = &broken_table;
__attribute__((visibility("hidden"))) int keep_no_entry(void) { return table != NULL; }
