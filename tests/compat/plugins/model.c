/* grpo.model/1 with grpo.decode/1 in one revision or another: the fake model, under the name `compat`. See wrap.h. */
#include "wrap.h"

#include "../../support/fake_model/decode.c"
#include "../../support/fake_model/fake_model.c"
#pragma pop_macro("GRPO_MANIFEST")

/* clang-format off */
COMPAT_MANIFEST("grpo.model/1", "compat_model", , "offers" : ["grpo.decode/1"]);
/* clang-format on */

static grpo_model compat_table;
static grpo_decode compat_decode;
static const grpo_component compat = {
    .struct_size = sizeof compat, .interface_id = GRPO_MODEL_ID, .name = "compat", .table = &compat_table};

COMPAT_OPEN(model_open, compat)

static const grpo_model_info* compat_describe(void* handle) {
  COMPAT_GIVES(&((model*)handle)->info);
  return model_describe(handle);
}

static grpo_status compat_parameters(void* handle, const grpo_call* call, int64_t* n,
                                     const grpo_parameter* const** list) {
  model* m = handle;
  COMPAT_TAKES(call, call);
  COMPAT_GIVES(&m->parameter);
  COMPAT_GIVES(&m->value_tensor);
  COMPAT_GIVES(&m->gradient_tensor);
  return model_parameters(handle, call, n, list);
}

static grpo_status compat_forward(void* handle, const grpo_call* call, const grpo_forward* a) {
  COMPAT_TAKES(call, call);
  COMPAT_TAKES(call, a);
  COMPAT_TAKES(call, a->forest);
  return model_forward(handle, call, a);
}

static grpo_status compat_backward(void* handle, const grpo_call* call, const grpo_backward* a) {
  COMPAT_TAKES(call, a);
  return model_backward(handle, call, a);
}

static grpo_status compat_export(void* handle, const grpo_call* call, const grpo_tensor_sink* sink) {
  COMPAT_TAKES(call, sink);
  return model_export(handle, call, sink);
}

static grpo_status compat_import(void* handle, const grpo_call* call, int64_t version,
                                 const grpo_tensor_source* source) {
  COMPAT_TAKES(call, source);
  return model_import(handle, call, version, source);
}

/* The decoder's structs come from the sampler. */
static grpo_status compat_session_open(void* handle, const grpo_call* call, const grpo_decode_session* wanted,
                                       void** opened) {
  COMPAT_MEETS(call, wanted);
  return decode_session_open(handle, call, wanted, opened);
}
static grpo_status compat_prefill(void* handle, const grpo_call* call, const grpo_decode_prefill* a) {
  COMPAT_MEETS(call, a);
  return decode_prefill(handle, call, a);
}
static grpo_status compat_fork(void* handle, const grpo_call* call, const grpo_decode_fork* a) {
  COMPAT_MEETS(call, a);
  return decode_fork(handle, call, a);
}
static grpo_status compat_assign(void* handle, const grpo_call* call, const grpo_decode_assign* a) {
  COMPAT_MEETS(call, a);
  for (int64_t i = 0; i < a->n; ++i) COMPAT_PASSED(call, a->sampling[i]);
  return decode_assign(handle, call, a);
}
static grpo_status compat_step(void* handle, const grpo_call* call, const grpo_decode_step* a) {
  COMPAT_MEETS(call, a);
  return decode_step(handle, call, a);
}

static const void* compat_query(void* handle, const char* id) {
  return model_query(handle, id) ? &compat_decode : NULL;
}

static void prepare(void) {
  memcpy(&compat_table, &model_table, sizeof model_table);
  COMPAT_LATER_TABLE(compat_table);
  compat_table.open = compat_open;
  compat_table.query = compat_query;
  compat_table.describe = compat_describe;
  compat_table.parameters = compat_parameters;
  compat_table.forward = compat_forward;
  compat_table.backward = compat_backward;
  compat_table.export_weights = compat_export;
  compat_table.import_weights = compat_import;
  memcpy(&compat_decode, &fake_decode_table, sizeof fake_decode_table);
  COMPAT_LATER_TABLE(compat_decode);
  compat_decode.session_open = compat_session_open;
  compat_decode.prefill = compat_prefill;
  compat_decode.fork = compat_fork;
  compat_decode.assign = compat_assign;
  compat_decode.step = compat_step;
}
COMPAT_ENTRY(compat, prepare);
