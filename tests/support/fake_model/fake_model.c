/* grpo.model/1 of the fake model. */
#include "fake_model.h"

#include <grpo/random.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
GRPO_MANIFEST({
  "name": "fake_model", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.model/1", "name": "fake", "offers": ["grpo.decode/1"], "options": {
    "seed": {"type": "integer", "default": 1, "description": "of the table of logits"},
    "scale": {"type": "number", "default": 1, "description": "logits are uniform in -scale .. scale"},
    "trainable": {"type": "boolean", "default": true, "description": "false: the parameter is frozen"},
    "max_depth": {"type": "integer", "default": 0, "description": "levels of the forest that it takes; 0: any"},
    "max_tokens": {"type": "integer", "default": 0, "description": "tokens of a forest; 0: any"},
    "positions": {"type": "integer", "default": 256, "minimum": 2, "description": "longest sequence"},
    "cache_limit": {"type": "integer", "default": 1000000000, "description": "tokens that a decode session may ask for"},
    "lacks": {"type": "integer", "default": 0, "description": "bits of GRPO_SAMPLING_* that decode does not offer"},
    "max_room": {"type": "integer", "default": 0, "description": "tokens a step may make for a slot; 0: any"},
    "on_device": {"type": "boolean", "default": false, "description": "says that it is on a CUDA device"},
    "fail_step": {"type": "integer", "default": 0, "description": "the decode step of this number fails; 0: none"}}}]
});
/* clang-format on */

int32_t fake_row(int32_t previous, int32_t current) {
  const uint32_t h = (uint32_t)previous * 2654435761u ^ (uint32_t)current * 40503u;
  return (int32_t)((h ^ h >> 15) % ROWS);
}

double fake_log_sum_exp(const float* z, double t, double* entropy) {
  double top = -INFINITY, sum = 0, weighted = 0;
  for (int v = 0; v < VOCABULARY; ++v) top = fmax(top, z[v] / t);
  for (int v = 0; v < VOCABULARY; ++v) {
    const double e = exp(z[v] / t - top);
    sum += e;
    weighted += e * z[v] / t;
  }
  if (entropy) *entropy = top + log(sum) - weighted / sum;
  return top + log(sum);
}

static void describe_tensors(model* m) {
  m->shape[0] = ROWS;
  m->shape[1] = VOCABULARY;
  grpo_tensor* tensors[2] = {&m->value_tensor, &m->gradient_tensor};
  float* data[2] = {m->value, m->gradient};
  for (int i = 0; i < 2; ++i) {
    tensors[i]->struct_size = sizeof(grpo_tensor);
    tensors[i]->dl = (grpo_dltensor){data[i], GRPO_DEVICE_CPU, 0, 2, GRPO_TYPE_FLOAT, 32, 1, m->shape, NULL, 0};
  }
  m->parameter.struct_size = sizeof m->parameter;
  m->parameter.name = "table.weight";
  m->parameter.value = &m->value_tensor;
  m->parameter.gradient = &m->gradient_tensor;
  m->parameters[0] = &m->parameter;
}

static grpo_status model_open(const grpo_call* call, const grpo_options* options, void** handle) {
  model* m = calloc(1, sizeof *m);
  if (!m) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: no memory");
  const uint64_t seed = (uint64_t)grpo_option_integer(options, "seed", 1);
  const double scale = grpo_option_number(options, "scale", 1);
  for (int i = 0; i < ROWS * VOCABULARY; ++i)
    m->value[i] = (float)(scale * (2 * grpo_random_uniform(seed, (uint64_t)i) - 1));
  describe_tensors(m);
  m->info.struct_size = sizeof m->info;
  m->info.flags = GRPO_MODEL_TRAIN | GRPO_MODEL_ENTROPY | GRPO_MODEL_IMPORT;
  if (!grpo_option_integer(options, "trainable", 1)) {
    m->info.flags &= ~(uint32_t)GRPO_MODEL_TRAIN;
    m->parameter.flags = GRPO_PARAMETER_FROZEN;
    m->parameter.gradient = NULL;
  }
  m->info.vocabulary = VOCABULARY;
  m->info.max_positions = grpo_option_integer(options, "positions", 256);
  m->info.max_tickets = TICKETS;
  m->info.max_depth = (int32_t)grpo_option_integer(options, "max_depth", 0);
  m->info.max_tokens = grpo_option_integer(options, "max_tokens", 0);
  m->info.n_elements = ROWS * VOCABULARY;
  m->info.flops_per_token = 2 * VOCABULARY;
  m->info.device_type = grpo_option_integer(options, "on_device", 0) ? GRPO_DEVICE_CUDA : GRPO_DEVICE_CPU;
  m->decode_info.struct_size = sizeof m->decode_info;
  m->decode_info.sampling = (GRPO_SAMPLING_TOP_K | GRPO_SAMPLING_TOP_P | GRPO_SAMPLING_MIN_P |
                             GRPO_SAMPLING_REPETITION_PENALTY | GRPO_SAMPLING_MIN_NEW) &
                            ~(uint32_t)grpo_option_integer(options, "lacks", 0);
  m->decode_info.max_room = (int32_t)grpo_option_integer(options, "max_room", 0);
  m->cache_limit = grpo_option_integer(options, "cache_limit", 1000000000);
  m->fail_step = grpo_option_integer(options, "fail_step", 0);
  *handle = m;
  return GRPO_STATUS_OK;
}

static void ticket_end(ticket* t) {
  free(t->row);
  free(t->token);
  memset(t, 0, sizeof *t);
}

static void model_close(void* handle) {
  model* m = handle;
  for (int i = 0; i < TICKETS; ++i) ticket_end(&m->tickets[i]);
  free(m);
}

static const void* model_query(void* handle, const char* id) {
  return (void)handle, strcmp(id, GRPO_DECODE_ID) ? NULL : &fake_decode_table;
}

static const grpo_model_info* model_describe(void* handle) { return &((model*)handle)->info; }

static grpo_status model_parameters(void* handle, const grpo_call* call, int64_t* n,
                                    const grpo_parameter* const** list) {
  *n = 1;
  *list = ((model*)handle)->parameters;
  return (void)call, GRPO_STATUS_OK;
}

/* The token before each one on its path; -1 at a root's first. Refuses a forest that breaks the contract. */
static grpo_status tokens_before(const model* m, const grpo_call* call, const grpo_forest* f, int32_t** before) {
  *before = call->alloc(call, (f->n_tokens + 1) * (int64_t)sizeof **before);
  int32_t* level = call->alloc(call, (f->n_nodes + 1) * (int64_t)sizeof *level);
  if (!*before || !level) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: no memory");
  for (int64_t t = 0; t < f->n_tokens; ++t)
    if (f->token[t] < 0 || f->token[t] >= VOCABULARY)
      return grpo_fail(call, GRPO_STATUS_INVALID, "fake: a token of the forest is not in the vocabulary");
  for (int64_t node = 0; node < f->n_nodes; ++node) {
    const int64_t start = f->node_start[node], parent = f->parent[node];
    if (parent >= node) return grpo_fail(call, GRPO_STATUS_INVALID, "fake: parents come before their children");
    level[node] = 1 + (parent < 0 ? 0 : level[parent]);
    if (m->info.max_depth && level[node] > m->info.max_depth)
      return grpo_fail(call, GRPO_STATUS_INVALID, "fake: the forest is deeper than max_depth");
    (*before)[start] = parent < 0 ? -1 : f->token[f->node_start[parent + 1] - 1];
    for (int64_t t = start + 1; t < f->node_start[node + 1]; ++t) (*before)[t] = f->token[t - 1];
  }
  return GRPO_STATUS_OK;
}

static grpo_status ticket_open(model* m, const grpo_call* call, const grpo_forward* a, ticket** out) {
  ticket* t = NULL;
  for (int i = 0; i < TICKETS; ++i)
    if (!m->tickets[i].id) t = &m->tickets[i];
  if (!t) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: max_tickets forwards wait for their backward");
  const size_t bytes = sizeof(int32_t) * (size_t)(a->n_targets + 1);
  *t = (ticket){0, a->n_targets, a->temperature, malloc(bytes), malloc(bytes)};
  if (!t->row || !t->token) return ticket_end(t), grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: no memory");
  *a->ticket = t->id = ++m->last_ticket;
  *out = t;
  return GRPO_STATUS_OK;
}

static grpo_status model_forward(void* handle, const grpo_call* call, const grpo_forward* a) {
  model* m = handle;
  int32_t* before;
  ticket* t = NULL;
  grpo_status status = tokens_before(m, call, a->forest, &before);
  if (status) return status;
  for (int64_t k = 0; k < a->n_targets; ++k)
    if (a->target_at[k] < 0 || a->target_at[k] >= a->forest->n_tokens || a->target_token[k] < 0 ||
        a->target_token[k] >= VOCABULARY)
      return grpo_fail(call, GRPO_STATUS_INVALID, "fake: a target is out of range");
  if (a->flags & GRPO_FORWARD_TRAIN) status = ticket_open(m, call, a, &t);
  if (status) return status;
  for (int64_t k = 0; k < a->n_targets; ++k) {
    const int64_t at = a->target_at[k];
    const int32_t row = fake_row(before[at], a->forest->token[at]);
    const float* z = m->value + row * VOCABULARY;
    double entropy;
    a->logprob[k] = (float)(z[a->target_token[k]] / a->temperature - fake_log_sum_exp(z, a->temperature, &entropy));
    if (a->entropy) a->entropy[k] = (float)entropy;
    if (t) t->row[k] = row, t->token[k] = a->target_token[k];
  }
  return GRPO_STATUS_OK;
}

static grpo_status model_backward(void* handle, const grpo_call* call, const grpo_backward* a) {
  model* m = handle;
  ticket* t = NULL;
  for (int i = 0; i < TICKETS; ++i)
    if (a->ticket && m->tickets[i].id == a->ticket) t = &m->tickets[i];
  if (!t) return grpo_fail(call, GRPO_STATUS_INVALID, "fake: no such ticket");
  for (int64_t k = 0; k < t->n; ++k) {
    const float* z = m->value + t->row[k] * VOCABULARY;
    float* g = m->gradient + t->row[k] * VOCABULARY;
    double entropy;
    const double all = fake_log_sum_exp(z, t->temperature, &entropy), dentropy = a->dentropy ? a->dentropy[k] : 0;
    for (int v = 0; v < VOCABULARY; ++v) {
      const double logp = z[v] / t->temperature - all, p = exp(logp);
      g[v] += (float)((a->dlogprob[k] * ((v == t->token[k]) - p) - dentropy * p * (logp + entropy)) / t->temperature);
    }
  }
  ticket_end(t);
  return GRPO_STATUS_OK;
}

static void model_drop(void* handle, uint64_t id) {
  model* m = handle;
  for (int i = 0; i < TICKETS; ++i)
    if (m->tickets[i].id == id) ticket_end(&m->tickets[i]);
}

static grpo_status model_zero_grad(void* handle, const grpo_call* call) {
  (void)call;
  memset(((model*)handle)->gradient, 0, sizeof((model*)handle)->gradient);
  return GRPO_STATUS_OK;
}

static grpo_status model_commit(void* handle, const grpo_call* call, int64_t version) {
  (void)call;
  ((model*)handle)->version = version;
  return GRPO_STATUS_OK;
}

static grpo_status model_export(void* handle, const grpo_call* call, const grpo_tensor_sink* sink) {
  const grpo_named_tensor named = {sizeof named, 0, "table.weight", &((model*)handle)->value_tensor};
  const grpo_named_tensor* list[] = {&named};
  return sink->put(sink, call, 1, list);
}

static grpo_status model_import(void* handle, const grpo_call* call, int64_t version,
                                const grpo_tensor_source* source) {
  model* m = handle;
  const grpo_tensor* t = NULL;
  const grpo_status status = source->get(source, call, "table.weight", &t);
  if (status != GRPO_STATUS_OK) return status;
  if (!t || t->dl.ndim != 2 || t->dl.shape[0] != ROWS || t->dl.shape[1] != VOCABULARY ||
      t->dl.type != GRPO_TYPE_FLOAT || t->dl.bits != 32)
    return grpo_fail(call, GRPO_STATUS_INVALID, "fake: table.weight is missing, or not fp32 [1024, 64]");
  memcpy(m->value, (const char*)t->dl.data + t->dl.byte_offset, sizeof m->value);
  return model_commit(handle, call, version);
}

static const grpo_model model_table = {.struct_size = sizeof(grpo_model),
                                       .open = model_open,
                                       .close = model_close,
                                       .query = model_query,
                                       .describe = model_describe,
                                       .parameters = model_parameters,
                                       .forward = model_forward,
                                       .backward = model_backward,
                                       .drop = model_drop,
                                       .zero_grad = model_zero_grad,
                                       .commit = model_commit,
                                       .export_weights = model_export,
                                       .import_weights = model_import};

GRPO_PLUGIN_ONE(GRPO_MODEL_ID, "fake", &model_table);
