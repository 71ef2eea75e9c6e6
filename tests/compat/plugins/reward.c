/* grpo.reward/1 in one revision or another: the fake `boxed`, under the name `compat`. See wrap.h. */
#include "wrap.h"

#include "../../plugins/fakes/fake_reward.c"
#pragma pop_macro("GRPO_MANIFEST")

/* clang-format off */
COMPAT_MANIFEST("grpo.reward/1", "compat_reward", );
/* clang-format on */

static grpo_reward compat_table;
static const grpo_component compat = {
    .struct_size = sizeof compat, .interface_id = GRPO_REWARD_ID, .name = "compat", .table = &compat_table};

COMPAT_OPEN(boxed_open, compat)

static grpo_status compat_score(void* handle, const grpo_call* call, const grpo_reward_batch* batch,
                                const grpo_reward_result* result) {
  COMPAT_TAKES(call, call);
  COMPAT_TAKES(call, batch);
  COMPAT_TAKES(call, result);
  for (int64_t i = 0; i < batch->n_columns; ++i) COMPAT_TAKES(call, batch->columns[i]);
  return boxed_score(handle, call, batch, result);
}

static void prepare(void) {
  memcpy(&compat_table, &table, sizeof table);
  COMPAT_LATER_TABLE(compat_table);
  compat_table.open = compat_open;
  compat_table.score = compat_score;
}
COMPAT_ENTRY(compat, prepare);
