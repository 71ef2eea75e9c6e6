/* Answers with an ABI that the host did not offer. */
#include "broken.h"

BROKEN_MANIFEST("wrong_abi");

GRPO_EXPORT const grpo_plugin* grpo_plugin_entry(const grpo_host* host) {
  static const grpo_component component = {sizeof component, 0, GRPO_REWARD_ID, "wrong_abi", &broken_table};
  static const grpo_component* const list[] = {&component};
  static const grpo_plugin plugin = {sizeof plugin, GRPO_HEADER_REVISION, 7, 1, list};
  (void)host;
  return &plugin;
}
