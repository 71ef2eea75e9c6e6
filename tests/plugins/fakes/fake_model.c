/* fake: a model whose logits are a row of a table, chosen by the last two tokens. Enough to check forests, tickets,
 * gradients, decoding and weight streams without a compute library. */
#include <grpo/decode.h>
#include <grpo/random.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

GRPO_MANIFEST({
  "name": "fake_model", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.model/1", "name": "fake", "offers": ["grpo.decode/1"], "options": {
    "seed": {"type": "integer", "default": 1},
    "max_depth": {"type": "integer", "default": 0, "description": "levels of the forest that it takes; 0: any"},
    "max_tokens": {"type": "integer", "default": 0}}}]
});

enum { VOCABULARY = 64, ROWS = 1024, POSITIONS = 256, TICKETS = 2 };

typedef struct { /* what backward needs of one forward */
  uint64_t id;   /* 0: free */
  int64_t n;
  double temperature;
  int32_t *row, *token; /* [n] */
} ticket;

typedef struct {
  float value[ROWS * VOCABULARY], gradient[ROWS * VOCABULARY];
  int64_t shape[2], version;
  grpo_tensor value_tensor, gradient_tensor;
  grpo_parameter parameter;
  const grpo_parameter* parameters[1];
  grpo_model_info info;
  ticket tickets[TICKETS];
  uint64_t last_ticket;
} model;

static int32_t row_of(int32_t previous, int32_t current) {
  uint32_t h = (uint32_t)previous * 2654435761u ^ (uint32_t)current * 40503u;
  return (int32_t)((h ^ h >> 15) % ROWS);
}

/* log of the sum of exp(z / t); *entropy of softmax(z / t) */
static double log_sum_exp(const float* z, double t, double* entropy) {
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

static grpo_status model_open(const grpo_call* call, const grpo_options* options, void** handle) {
  model* m = calloc(1, sizeof *m);
  if (!m) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: no memory");
  const uint64_t seed = (uint64_t)grpo_option_integer(options, "seed", 1);
  for (int i = 0; i < ROWS * VOCABULARY; ++i) m->value[i] = (float)(2 * grpo_random_uniform(seed, (uint64_t)i) - 1);
  m->shape[0] = ROWS;
  m->shape[1] = VOCABULARY;
  grpo_tensor* tensors[2] = {&m->value_tensor, &m->gradient_tensor};
  for (int i = 0; i < 2; ++i) {
    tensors[i]->struct_size = sizeof(grpo_tensor);
    tensors[i]->dl =
        (grpo_dltensor){i ? m->gradient : m->value, GRPO_DEVICE_CPU, 0, 2, GRPO_TYPE_FLOAT, 32, 1, m->shape, NULL, 0};
  }
  m->parameter.struct_size = sizeof m->parameter;
  m->parameter.name = "table.weight";
  m->parameter.value = &m->value_tensor;
  m->parameter.gradient = &m->gradient_tensor;
  m->parameters[0] = &m->parameter;
  m->info.struct_size = sizeof m->info;
  m->info.flags = GRPO_MODEL_TRAIN | GRPO_MODEL_ENTROPY | GRPO_MODEL_IMPORT;
  m->info.vocabulary = VOCABULARY;
  m->info.max_positions = POSITIONS;
  m->info.max_tickets = TICKETS;
  m->info.max_depth = (int32_t)grpo_option_integer(options, "max_depth", 0);
  m->info.max_tokens = grpo_option_integer(options, "max_tokens", 0);
  m->info.n_elements = ROWS * VOCABULARY;
  m->info.flops_per_token = 2 * VOCABULARY;
  m->info.device_type = GRPO_DEVICE_CPU;
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

static const grpo_model_info* model_describe(void* handle) { return &((model*)handle)->info; }

static const grpo_parameter* const* model_parameters(void* handle, int64_t* n) {
  *n = 1;
  return ((model*)handle)->parameters;
}

static grpo_status model_forward(void* handle, const grpo_call* call, const grpo_forward* a) {
  model* m = handle;
  const grpo_forest* f = a->forest;
  int32_t* before =
      call->alloc(call, f->n_tokens * (int64_t)sizeof *before); /* the token before each one on its path */
  if (!before) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: no memory");
  int32_t* level = call->alloc(call, f->n_nodes * (int64_t)sizeof *level);
  if (!level) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: no memory");
  for (int64_t node = 0; node < f->n_nodes; ++node) {
    level[node] = 1 + (f->parent[node] < 0 ? 0 : level[f->parent[node]]);
    if (m->info.max_depth && level[node] > m->info.max_depth)
      return grpo_fail(call, GRPO_STATUS_INVALID, "fake: the forest is deeper than max_depth");
    const int64_t start = f->node_start[node], parent = f->parent[node];
    if (parent >= node) return grpo_fail(call, GRPO_STATUS_INVALID, "fake: parents come before their children");
    before[start] = parent < 0 ? -1 : f->token[f->node_start[parent + 1] - 1];
    for (int64_t t = start + 1; t < f->node_start[node + 1]; ++t) before[t] = f->token[t - 1];
  }
  ticket* t = NULL;
  if (a->flags & GRPO_FORWARD_TRAIN) {
    for (int i = 0; i < TICKETS; ++i)
      if (!m->tickets[i].id) t = &m->tickets[i];
    if (!t) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: max_tickets forwards wait for their backward");
    const size_t bytes = sizeof(int32_t) * (size_t)(a->n_targets + 1);
    *t = (ticket){0, a->n_targets, a->temperature, malloc(bytes), malloc(bytes)};
    if (!t->row || !t->token) return ticket_end(t), grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: no memory");
    *a->ticket = t->id = ++m->last_ticket;
  }
  for (int64_t k = 0; k < a->n_targets; ++k) {
    const int64_t at = a->target_at[k];
    const int32_t row = row_of(before[at], f->token[at]);
    const float* z = m->value + row * VOCABULARY;
    double entropy;
    a->logprob[k] = (float)(z[a->target_token[k]] / a->temperature - log_sum_exp(z, a->temperature, &entropy));
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
    const double all = log_sum_exp(z, t->temperature, &entropy), dentropy = a->dentropy ? a->dentropy[k] : 0;
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
  grpo_named_tensor named = {
      .struct_size = sizeof named, .name = "table.weight", .tensor = &((model*)handle)->value_tensor};
  const grpo_named_tensor* list[] = {&named};
  return sink->put(sink, call, 1, list);
}

static grpo_status model_import(void* handle, const grpo_call* call, int64_t version,
                                const grpo_tensor_source* source) {
  model* m = handle;
  const grpo_tensor* t = source->get(source, call, "table.weight");
  if (!t || t->dl.ndim != 2 || t->dl.shape[0] != ROWS || t->dl.shape[1] != VOCABULARY ||
      t->dl.type != GRPO_TYPE_FLOAT || t->dl.bits != 32)
    return grpo_fail(call, GRPO_STATUS_INVALID, "fake: table.weight is missing, or not fp32 [1024, 64]");
  memcpy(m->value, (const char*)t->dl.data + t->dl.byte_offset, sizeof m->value);
  return model_commit(handle, call, version);
}

/* grpo.decode/1 */

typedef struct {
  int32_t token[POSITIONS]; /* the last one is pending */
  int64_t length, first;    /* first: length when it was assigned */
  uint64_t key;
  double temperature, top_p, min_p, penalty;
  int32_t top_k, min_new, max_new, n_stop, stop[8];
} slot;

typedef struct {
  model* m;
  int64_t n, tokens, used;
  slot* slots; /* [n] */
} session;

static const grpo_decode_info decode_info = {.struct_size = sizeof(grpo_decode_info),
                                             .sampling = GRPO_SAMPLING_TOP_K | GRPO_SAMPLING_TOP_P |
                                                         GRPO_SAMPLING_MIN_P | GRPO_SAMPLING_REPETITION_PENALTY |
                                                         GRPO_SAMPLING_MIN_NEW};

static const grpo_decode_info* decode_describe(void* handle) { return (void)handle, &decode_info; }

static grpo_status decode_session_open(void* handle, const grpo_call* call, const grpo_decode_session* wanted,
                                       void** out) {
  session* s = calloc(1, sizeof *s);
  if (s) s->slots = calloc((size_t)wanted->slots, sizeof *s->slots);
  if (!s || !s->slots) return free(s), grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: no memory");
  s->m = handle;
  s->n = wanted->slots;
  s->tokens = wanted->tokens;
  *out = s;
  return GRPO_STATUS_OK;
}

static void decode_session_close(void* handle) {
  session* s = handle;
  free(s->slots);
  free(s);
}

static int64_t decode_free_tokens(void* handle) { return ((session*)handle)->tokens - ((session*)handle)->used; }

static grpo_status decode_prefill(void* handle, const grpo_call* call, const grpo_decode_prefill* a) {
  session* s = handle;
  for (int64_t i = 0; i < a->n; ++i)
    if (a->slot[i] < 0 || a->slot[i] >= s->n || s->slots[a->slot[i]].length + a->start[i + 1] - a->start[i] > POSITIONS)
      return grpo_fail(call, GRPO_STATUS_INVALID, "fake: no such slot, or too many positions");
  if (a->start[a->n] > decode_free_tokens(s)) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: the cache is full");
  for (int64_t i = 0; i < a->n; ++i) {
    slot* q = &s->slots[a->slot[i]];
    const int64_t n = a->start[i + 1] - a->start[i];
    memcpy(q->token + q->length, a->token + a->start[i], sizeof(int32_t) * (size_t)n);
    q->length += n;
    s->used += n;
  }
  return GRPO_STATUS_OK;
}

static grpo_status decode_fork(void* handle, const grpo_call* call, const grpo_decode_fork* a) {
  session* s = handle;
  int64_t more = 0;
  for (int64_t i = 0; i < a->n; ++i) more += s->slots[a->from[i]].length; /* copied, not shared: this is a fake */
  if (more > decode_free_tokens(s)) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: the cache is full");
  for (int64_t i = 0; i < a->n; ++i) s->slots[a->to[i]] = s->slots[a->from[i]];
  s->used += more;
  return GRPO_STATUS_OK;
}

static grpo_status decode_assign(void* handle, const grpo_call* call, const grpo_decode_assign* a) {
  session* s = handle;
  for (int64_t i = 0; i < a->n; ++i)
    if (grpo_sampling_used(a->sampling[i]) & ~decode_info.sampling || a->sampling[i]->n_stop > 8)
      return grpo_fail(call, GRPO_STATUS_UNSUPPORTED, "fake: stop texts, or more than 8 stop ids");
  for (int64_t i = 0; i < a->n; ++i) {
    slot* q = &s->slots[a->slot[i]];
    const grpo_sampling* o = a->sampling[i];
    q->first = q->length;
    q->key = a->key[i];
    q->temperature = o->temperature;
    q->top_p = o->top_p > 0 ? o->top_p : 1;
    q->min_p = o->min_p;
    q->penalty = o->repetition_penalty > 0 ? o->repetition_penalty : 1;
    q->top_k = o->top_k > 0 && o->top_k < VOCABULARY ? o->top_k : VOCABULARY;
    q->min_new = o->min_new;
    q->max_new = o->max_new > 0 ? o->max_new : POSITIONS;
    q->n_stop = o->n_stop;
    if (o->n_stop) memcpy(q->stop, o->stop, sizeof(int32_t) * (size_t)o->n_stop);
  }
  return GRPO_STATUS_OK;
}

static int is_stop(const slot* q, int32_t token) {
  for (int32_t i = 0; i < q->n_stop; ++i)
    if (q->stop[i] == token) return 1;
  return 0;
}

/* The distribution that a slot draws from, by the order in grpo_sampling. p: [VOCABULARY], sums to 1. */
static void distribution(const slot* q, const float* z, double* p) {
  double logit[VOCABULARY], top = -INFINITY, sum = 0;
  char seen[VOCABULARY] = {0};
  int order[VOCABULARY], n = 0;
  for (int64_t i = 0; i < q->length; ++i) seen[q->token[i] % VOCABULARY] = 1;
  for (int v = 0; v < VOCABULARY; ++v) {
    logit[v] = !seen[v] ? z[v] : z[v] > 0 ? z[v] / q->penalty : z[v] * q->penalty;
    if (q->length - q->first < q->min_new && is_stop(q, v)) logit[v] = -INFINITY;
    if (q->temperature > 0) logit[v] /= q->temperature;
    top = fmax(top, logit[v]);
  }
  for (int v = 0; v < VOCABULARY; ++v) { /* most probable first, lower ids first among equals */
    int at = n++;
    for (; at > 0 && logit[order[at - 1]] < logit[v]; --at) order[at] = order[at - 1];
    order[at] = v;
    p[v] = 0;
  }
  n = q->temperature > 0 ? q->top_k : 1;
  for (int i = 0; i < n; ++i) sum += exp(logit[order[i]] - top);
  double reached = 0;
  for (int i = 0; i < n; ++i) {
    if (reached >= q->top_p) {
      n = i;
      break;
    }
    reached += exp(logit[order[i]] - top) / sum;
  }
  while (n > 1 && exp(logit[order[n - 1]] - top) < q->min_p) --n;
  sum = 0;
  for (int i = 0; i < n; ++i) sum += p[order[i]] = exp(logit[order[i]] - top);
  for (int v = 0; v < VOCABULARY; ++v) p[v] /= sum;
}

static grpo_status decode_step(void* handle, const grpo_call* call, const grpo_decode_step* a) {
  session* s = handle;
  if (!(a->flags & GRPO_STEP_PEEK) && decode_free_tokens(s) < a->n * a->room)
    return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: the cache is full");
  for (int64_t i = 0; i < a->n; ++i) {
    slot* q = &s->slots[a->slot[i]];
    a->count[i] = 0;
    a->ended[i] = GRPO_FINISH_NONE;
    for (int64_t k = 0; k < a->room && !a->ended[i]; ++k) {
      const float* z =
          s->m->value + row_of(q->length > 1 ? q->token[q->length - 2] : -1, q->token[q->length - 1]) * VOCABULARY;
      if (a->logits && k == 0) memcpy(a->logits + i * VOCABULARY, z, sizeof(float) * VOCABULARY);
      if (a->flags & GRPO_STEP_PEEK) break;
      double p[VOCABULARY], sum = 0;
      distribution(q, z, p);
      const double u = grpo_random_uniform(q->key, (uint64_t)q->length);
      int32_t token = -1, last = 0;
      for (int32_t v = 0; v < VOCABULARY && token < 0; ++v) {
        if (p[v] > 0) last = v;
        if ((sum += p[v]) > u) token = v;
      }
      if (token < 0) token = last;
      if (a->force && k == 0 && a->force[i] >= 0) token = a->force[i];
      const int64_t at = i * a->room + k;
      const double t = q->temperature > 0 ? q->temperature : 1;
      a->token[at] = token;
      if (a->logprob) a->logprob[at] = (float)(z[token] / t - log_sum_exp(z, t, NULL));
      if (a->logprob_sampled) a->logprob_sampled[at] = (float)log(p[token]);
      q->token[q->length++] = token;
      s->used++;
      a->count[i]++;
      if (is_stop(q, token))
        a->ended[i] = GRPO_FINISH_STOP;
      else if (q->length - q->first >= q->max_new || q->length == POSITIONS)
        a->ended[i] = GRPO_FINISH_LENGTH;
    }
  }
  return GRPO_STATUS_OK;
}

static void decode_release(void* handle, int64_t n, const int64_t* which) {
  session* s = handle;
  for (int64_t i = 0; i < n; ++i) {
    s->used -= s->slots[which[i]].length;
    memset(&s->slots[which[i]], 0, sizeof(slot));
  }
}

static const grpo_decode decode_table = {.struct_size = sizeof(grpo_decode),
                                         .describe = decode_describe,
                                         .session_open = decode_session_open,
                                         .session_close = decode_session_close,
                                         .free_tokens = decode_free_tokens,
                                         .prefill = decode_prefill,
                                         .fork = decode_fork,
                                         .assign = decode_assign,
                                         .step = decode_step,
                                         .release = decode_release};

static const void* model_query(void* handle, const char* id) {
  return (void)handle, strcmp(id, GRPO_DECODE_ID) ? NULL : &decode_table;
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
