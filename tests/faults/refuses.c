/* Refuses to work, and says why. */
#include "broken.h"

BROKEN_MANIFEST("refuses");

GRPO_EXPORT const grpo_plugin* grpo_plugin_entry(const grpo_host* host) {
  static const char why[] = "the licence server does not answer";
  host->refuse(host, why, (int64_t)sizeof why - 1);
  return NULL;
}
