/* Leaves a mark when its code runs: scanning must not. */
#include <stdio.h>
#include <stdlib.h>

#include "broken.h"

BROKEN_MANIFEST("writes");

__attribute__((constructor)) static void leave_a_mark(void) {
  const char* path = getenv("GRPO_TEST_MARK");
  FILE* file = path ? fopen(path, "a") : NULL;
  if (!file) return;
  fputs("ran\n", file);
  fclose(file);
}

GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "writes", &broken_table);
