/* Never comes back from being loaded. */
#include <unistd.h>

#include "broken.h"

BROKEN_MANIFEST("hangs");

__attribute__((constructor)) static void wait_for_ever(void) {
  for (;;) pause();
}

GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "hangs", &broken_table);
