/* fake: AdamW on contiguous fp32 slices in host memory. */
#include <grpo/optimizer.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

GRPO_MANIFEST({
  "name": "fake_optimizer", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.optimizer/1", "name": "fake", "options": {
    "beta1": {"type": "number", "default": 0.9}, "beta2": {"type": "number", "default": 0.999},
    "epsilon": {"type": "number", "default": 1e-8}, "weight_decay": {"type": "number", "default": 0}}}]
});

typedef struct { /* what belongs to one slice; first and second moment */
  int64_t n, shape[1];
  const grpo_slice* slice;
  float* moment[2];
  char name[2][256];
  grpo_tensor tensor[2];
  grpo_named_tensor named[2];
} part;

typedef struct {
  double beta1, beta2, epsilon, weight_decay;
  int64_t n;
  part* parts;                     /* [n] */
  const grpo_named_tensor** state; /* [2 n] */
} adamw;

static grpo_status adamw_open(const grpo_call* call, const grpo_options* options, void** handle) {
  adamw* a = calloc(1, sizeof *a);
  if (!a) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: no memory");
  a->beta1 = grpo_option_number(options, "beta1", 0.9);
  a->beta2 = grpo_option_number(options, "beta2", 0.999);
  a->epsilon = grpo_option_number(options, "epsilon", 1e-8);
  a->weight_decay = grpo_option_number(options, "weight_decay", 0);
  *handle = a;
  return GRPO_STATUS_OK;
}

static void adamw_close(void* handle) {
  adamw* a = handle;
  for (int64_t i = 0; i < a->n; ++i) free(a->parts[i].moment[0]), free(a->parts[i].moment[1]);
  free(a->parts);
  free(a->state);
  free(a);
}

static int steppable(const grpo_dltensor* t) {
  return t->device_type == GRPO_DEVICE_CPU && t->type == GRPO_TYPE_FLOAT && t->bits == 32 && t->lanes == 1 &&
         !t->strides;
}

static float* data_of(const grpo_tensor* t) { return (float*)(void*)((char*)t->dl.data + t->dl.byte_offset); }

static grpo_status adamw_bind(void* handle, const grpo_call* call, int64_t n, const grpo_slice* const* slices) {
  adamw* a = handle;
  a->parts = calloc((size_t)n + 1, sizeof *a->parts);
  a->state = calloc((size_t)(2 * n) + 1, sizeof *a->state);
  if (!a->parts || !a->state) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: no memory");
  a->n = n;
  for (int64_t i = 0; i < n; ++i) {
    part* p = &a->parts[i];
    p->slice = slices[i];
    if (!steppable(&slices[i]->value->dl) || !steppable(&slices[i]->gradient->dl))
      return grpo_fail(call, GRPO_STATUS_UNSUPPORTED, "fake: wants contiguous fp32 in host memory");
    p->n = 1;
    for (int d = 0; d < slices[i]->value->dl.ndim; ++d) p->n *= slices[i]->value->dl.shape[d];
    p->shape[0] = p->n;
    for (int j = 0; j < 2; ++j) {
      if (!(p->moment[j] = calloc((size_t)p->n + 1, sizeof(float))))
        return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: no memory");
      snprintf(p->name[j], sizeof p->name[j], "%.200s@%lld.%s", slices[i]->name, (long long)slices[i]->offset,
               j ? "v" : "m");
      p->tensor[j].struct_size = sizeof p->tensor[j];
      p->tensor[j].dl = (grpo_dltensor){p->moment[j], GRPO_DEVICE_CPU, 0, 1, GRPO_TYPE_FLOAT, 32, 1, p->shape, NULL, 0};
      p->named[j].struct_size = sizeof p->named[j];
      p->named[j].name = p->name[j];
      p->named[j].tensor = &p->tensor[j];
      a->state[2 * i + j] = &p->named[j];
    }
  }
  return GRPO_STATUS_OK;
}

static grpo_status adamw_squared_norm(void* handle, const grpo_call* call, double* sum) {
  const adamw* a = handle;
  (void)call;
  *sum = 0;
  for (int64_t i = 0; i < a->n; ++i) {
    const float* g = data_of(a->parts[i].slice->gradient);
    if (a->parts[i].slice->flags & GRPO_SLICE_DUPLICATE) continue;
    for (int64_t k = 0; k < a->parts[i].n; ++k) *sum += (double)g[k] * g[k];
  }
  return GRPO_STATUS_OK;
}

static grpo_status adamw_step(void* handle, const grpo_call* call, const grpo_optimizer_step* s) {
  const adamw* a = handle;
  (void)call;
  const double c1 = 1 - pow(a->beta1, (double)s->step), c2 = 1 - pow(a->beta2, (double)s->step);
  for (int64_t i = 0; i < a->n; ++i) {
    const part* p = &a->parts[i];
    const double decay = p->slice->flags & GRPO_SLICE_NO_DECAY ? 0 : a->weight_decay;
    const float* g = data_of(p->slice->gradient);
    float *w = data_of(p->slice->value), *m = p->moment[0], *v = p->moment[1];
    for (int64_t k = 0; k < p->n; ++k) {
      const double x = g[k] * s->gradient_scale;
      m[k] = (float)(a->beta1 * m[k] + (1 - a->beta1) * x);
      v[k] = (float)(a->beta2 * v[k] + (1 - a->beta2) * x * x);
      w[k] -= (float)(s->learning_rate * (m[k] / c1 / (sqrt(v[k] / c2) + a->epsilon) + decay * w[k]));
    }
  }
  return GRPO_STATUS_OK;
}

static grpo_status adamw_state(void* handle, const grpo_call* call, int64_t* n, const grpo_named_tensor* const** list) {
  *n = 2 * ((adamw*)handle)->n;
  *list = ((adamw*)handle)->state;
  return (void)call, GRPO_STATUS_OK;
}

static grpo_status adamw_state_written(void* handle, const grpo_call* call) {
  return (void)handle, (void)call, GRPO_STATUS_OK;
}

static const grpo_optimizer table = {.struct_size = sizeof(grpo_optimizer),
                                     .flags = GRPO_OPTIMIZER_ELEMENTWISE,
                                     .open = adamw_open,
                                     .close = adamw_close,
                                     .bind = adamw_bind,
                                     .squared_norm = adamw_squared_norm,
                                     .step = adamw_step,
                                     .state = adamw_state,
                                     .state_written = adamw_state_written};

GRPO_PLUGIN_ONE(GRPO_OPTIMIZER_ID, "fake", &table);
