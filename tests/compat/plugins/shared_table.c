/* Two rewards that share a table: each handle learns from its options which of them was opened. */
#include <grpo/reward.h>

GRPO_MANIFEST({
  "name": "shared_table", "version": "1.0.0", "licence": "MIT",
  "components": [{"interface": "grpo.reward/1", "name": "one"}, {"interface": "grpo.reward/1", "name": "three"}]
});

static const grpo_component one, three;

static grpo_status opened(const grpo_call* call, const grpo_options* options, void** handle) {
  if (options->component != &one && options->component != &three)
    return grpo_fail(call, GRPO_STATUS_INVALID, "options->component is none of this library's");
  *handle = (void*)(uintptr_t)options->component;
  return GRPO_STATUS_OK;
}
static void closed(void* handle) { (void)handle; }
static grpo_status scored(void* handle, const grpo_call* call, const grpo_reward_batch* batch,
                          const grpo_reward_result* result) {
  for (int64_t i = 0; i < batch->n_samples; ++i) result->score[i] = handle == &one ? 1 : 3;
  return (void)call, GRPO_STATUS_OK;
}
static const grpo_reward table = {.struct_size = sizeof(grpo_reward), .open = opened, .close = closed, .score = scored};

static const grpo_component one = {sizeof one, 0, GRPO_REWARD_ID, "one", &table};
static const grpo_component three = {sizeof three, 0, GRPO_REWARD_ID, "three", &table};
static const grpo_component* const all[] = {&one, &three};
GRPO_PLUGIN(all);
