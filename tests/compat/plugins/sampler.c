/* grpo.sampler/1 in one revision or another: the fake sampler, under the name `compat`. See wrap.h. */
#include "wrap.h"

#include "../../plugins/fakes/fake_sampler.c"
#pragma pop_macro("GRPO_MANIFEST")

/* clang-format off */
COMPAT_MANIFEST("grpo.sampler/1", "compat_sampler", );
/* clang-format on */

static grpo_sampler compat_table;
static const grpo_component compat = {
    .struct_size = sizeof compat, .interface_id = GRPO_SAMPLER_ID, .name = "compat", .table = &compat_table};

COMPAT_OPEN(sampler_open, compat)

static const grpo_sampler_info* compat_describe(void* handle) {
  COMPAT_GIVES(&((sampler*)handle)->info);
  return sampler_describe(handle);
}

static grpo_status compat_bind(void* handle, const grpo_call* call, const grpo_sampler_binding* binding) {
  COMPAT_TAKES(call, binding);
  COMPAT_CHECK(call, binding->model_revision >= 1); /* without it no sampler could know what its model ignores */
  return sampler_bind(handle, call, binding);
}

static grpo_status compat_generate(void* handle, const grpo_call* call, const grpo_feed* feed) {
  COMPAT_TAKES(call, call);
  COMPAT_TAKES(call, feed);
  return sampler_generate(handle, call, feed);
}

static void prepare(void) {
  memcpy(&compat_table, &table, sizeof table);
  COMPAT_LATER_TABLE(compat_table);
  compat_table.open = compat_open;
  compat_table.describe = compat_describe;
  compat_table.bind = compat_bind;
  compat_table.generate = compat_generate;
}
COMPAT_ENTRY(compat, prepare);
