/* Crashes while it is loaded. */
#include <signal.h>

#include "broken.h"

BROKEN_MANIFEST("segfaults");

__attribute__((constructor)) static void crash(void) { raise(SIGSEGV); }

GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "segfaults", &broken_table);
