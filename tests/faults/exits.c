/* Ends the process while it is loaded. */
#include <stdio.h>
#include <stdlib.h>

#include "broken.h"

BROKEN_MANIFEST("exits");

__attribute__((constructor)) static void leave(void) {
  fputs("no GPU here, goodbye\n", stderr);
  exit(3);
}

GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "exits", &broken_table);
