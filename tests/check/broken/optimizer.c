/* An optimizer that breaks one rule: plain descent on slices in fp32. */
#include <grpo/optimizer.h>
#include <math.h>
#include <stdlib.h>

#include "how.h"

GRPO_MANIFEST({
  "name": "broken_optimizer", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.optimizer/1", "name": "broken", "options": {"how": {"type": "string", "default": ""}}}]
});

typedef struct {
  how how;
  int64_t n;
  const grpo_slice* const* slices;
  float count[1];
  int64_t shape[1];
  grpo_tensor tensor;
  grpo_named_tensor first, second;
  const grpo_named_tensor* state[2];
} broken;

static float* data_of(const grpo_tensor* t) { return (float*)((char*)t->dl.data + t->dl.byte_offset); }

static grpo_status broken_open(const grpo_call* call, const grpo_options* options, void** handle) {
  broken* self = calloc(1, sizeof *self);
  if (!self) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "no memory");
  self->how = how_of(options);
  self->shape[0] = 1;
  self->tensor.struct_size = sizeof self->tensor;
  self->tensor.dl = (grpo_dltensor){self->count, GRPO_DEVICE_CPU, 0, 1, GRPO_TYPE_FLOAT, 32, 1, self->shape, NULL, 0};
  self->first = (grpo_named_tensor){sizeof self->first, 0, "w.count", &self->tensor};
  self->second = self->first;
  self->state[0] = &self->first;
  self->state[1] = &self->second;
  *handle = self;
  return GRPO_STATUS_OK;
}
static void broken_close(void* handle) { free(handle); }
static grpo_status broken_bind(void* handle, const grpo_call* call, int64_t n, const grpo_slice* const* slices) {
  broken* self = handle;
  (void)call;
  self->n = n;
  self->slices = slices;
  return GRPO_STATUS_OK;
}
static grpo_status broken_squared_norm(void* handle, const grpo_call* call, double* sum) {
  const broken* self = handle;
  double total = 0;
  (void)call;
  for (int64_t s = 0; s < self->n; ++s)
    for (int64_t i = 0; i < self->slices[s]->gradient->dl.shape[0]; ++i)
      total += (double)data_of(self->slices[s]->gradient)[i] * (double)data_of(self->slices[s]->gradient)[i];
  *sum = HOW("optimizer.squared_norm") ? sqrt(total) : total;
  return GRPO_STATUS_OK;
}
static grpo_status broken_step(void* handle, const grpo_call* call, const grpo_optimizer_step* step) {
  broken* self = handle;
  for (int64_t s = 0; s < self->n; ++s)
    for (int64_t i = 0; i < self->slices[s]->value->dl.shape[0]; ++i)
      data_of(self->slices[s]->value)[i] -=
          (float)(step->learning_rate * step->gradient_scale) * data_of(self->slices[s]->gradient)[i];
  self->count[0] += 1;
  if (HOW("optimizer.step.nan")) data_of(self->slices[0]->value)[0] = NAN;
  if (HOW("optimizer.failed.changed")) return grpo_fail(call, GRPO_STATUS_FAILED, "changed its mind");
  return GRPO_STATUS_OK;
}
static grpo_status broken_state(void* handle, const grpo_call* call, int64_t* n,
                                const grpo_named_tensor* const** list) {
  broken* self = handle;
  (void)call;
  *n = HOW("optimizer.state") ? 2 : 1;
  *list = self->state;
  return GRPO_STATUS_OK;
}
static grpo_status broken_state_written(void* handle, const grpo_call* call) {
  (void)handle, (void)call;
  return GRPO_STATUS_OK;
}

static const grpo_optimizer table = {sizeof(grpo_optimizer),
                                     GRPO_OPTIMIZER_ELEMENTWISE,
                                     broken_open,
                                     broken_close,
                                     NULL,
                                     broken_bind,
                                     broken_squared_norm,
                                     broken_step,
                                     broken_state,
                                     broken_state_written};
GRPO_PLUGIN_ONE(GRPO_OPTIMIZER_ID, "broken", &table);
