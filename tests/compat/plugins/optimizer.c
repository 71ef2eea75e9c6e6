/* grpo.optimizer/1 in one revision or another: the fake AdamW, under the name `compat`. See wrap.h. */
#include "wrap.h"

#include "../../plugins/fakes/fake_optimizer.c"
#pragma pop_macro("GRPO_MANIFEST")

/* clang-format off */
COMPAT_MANIFEST("grpo.optimizer/1", "compat_optimizer", );
/* clang-format on */

static grpo_optimizer compat_table;
static const grpo_component compat = {
    .struct_size = sizeof compat, .interface_id = GRPO_OPTIMIZER_ID, .name = "compat", .table = &compat_table};

COMPAT_OPEN(adamw_open, compat)

static grpo_status compat_bind(void* handle, const grpo_call* call, int64_t n, const grpo_slice* const* slices) {
  for (int64_t i = 0; i < n; ++i) COMPAT_TAKES(call, slices[i]);
  return adamw_bind(handle, call, n, slices);
}

static grpo_status compat_step(void* handle, const grpo_call* call, const grpo_optimizer_step* s) {
  COMPAT_TAKES(call, call);
  COMPAT_TAKES(call, s);
  return adamw_step(handle, call, s);
}

static grpo_status compat_state(void* handle, const grpo_call* call, int64_t* n,
                                const grpo_named_tensor* const** list) {
  adamw* a = handle;
  for (int64_t i = 0; i < a->n; ++i)
    for (int j = 0; j < 2; ++j) {
      COMPAT_GIVES(&a->parts[i].named[j]);
      COMPAT_GIVES(&a->parts[i].tensor[j]);
    }
  return adamw_state(handle, call, n, list);
}

static void prepare(void) {
  memcpy(&compat_table, &table, sizeof table);
  COMPAT_LATER_TABLE(compat_table);
  compat_table.open = compat_open;
  compat_table.bind = compat_bind;
  compat_table.step = compat_step;
  compat_table.state = compat_state;
}
COMPAT_ENTRY(compat, prepare);
