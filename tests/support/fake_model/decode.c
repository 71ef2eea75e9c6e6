/* grpo.decode/1 of the fake model. The cache is only counted: a prompt shared by forks counts once, until the last of
 * them is released. */
#include <grpo/random.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fake_model.h"

enum { STOPS = 8 };

typedef struct run run; /* tokens that several slots share */
struct run {
  run* parent;
  int64_t n, users;
};

typedef struct {
  int32_t* token;         /* [positions] the last one is pending */
  int64_t length, shared; /* shared: the first ones, counted in `run` */
  run* run;
  int64_t first; /* length when it was assigned */
  int assigned;
  uint64_t key;
  double temperature, top_p, min_p, penalty;
  int32_t top_k, min_new, max_new, n_stop, stop[STOPS];
} slot;

typedef struct {
  model* m;
  int64_t n, tokens, used;
  slot* slots;    /* [n] */
  int32_t* token; /* [n][positions] */
} session;

static const grpo_decode_info* decode_describe(void* handle) { return &((model*)handle)->decode_info; }

static grpo_status decode_session_open(void* handle, const grpo_call* call, const grpo_decode_session* wanted,
                                       void** out) {
  model* m = handle;
  if (wanted->tokens > m->cache_limit) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: cache_limit");
  session* s = calloc(1, sizeof *s);
  if (s) {
    s->slots = calloc((size_t)wanted->slots, sizeof *s->slots);
    s->token = calloc((size_t)(wanted->slots * m->info.max_positions), sizeof *s->token);
  }
  if (!s || !s->slots || !s->token) {
    if (s) free(s->slots), free(s->token);
    free(s);
    return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: no memory");
  }
  s->m = m;
  s->n = wanted->slots;
  s->tokens = wanted->tokens;
  for (int64_t i = 0; i < s->n; ++i) s->slots[i].token = s->token + i * m->info.max_positions;
  *out = s;
  return GRPO_STATUS_OK;
}

static void forget(session* s, slot* q) {
  s->used -= q->length - q->shared;
  for (run *r = q->run, *parent; r && --r->users == 0; r = parent) {
    parent = r->parent;
    s->used -= r->n;
    free(r);
  }
  q->run = NULL;
  q->length = q->shared = q->assigned = 0;
}

static void decode_session_close(void* handle) {
  session* s = handle;
  for (int64_t i = 0; i < s->n; ++i) forget(s, &s->slots[i]);
  free(s->slots);
  free(s->token);
  free(s);
}

static int64_t decode_free_tokens(void* handle) { return ((session*)handle)->tokens - ((session*)handle)->used; }

static int is_slot(const session* s, int64_t i) { return i >= 0 && i < s->n; }

static grpo_status decode_prefill(void* handle, const grpo_call* call, const grpo_decode_prefill* a) {
  session* s = handle;
  for (int64_t i = 0; i < a->n; ++i) {
    const int64_t n = a->start[i + 1] - a->start[i];
    if (!is_slot(s, a->slot[i]) || n < 1 || s->slots[a->slot[i]].length + n > s->m->info.max_positions)
      return grpo_fail(call, GRPO_STATUS_INVALID, "fake: no such slot, no token, or too many positions");
  }
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
  for (int64_t i = 0; i < a->n; ++i)
    if (!is_slot(s, a->from[i]) || !is_slot(s, a->to[i]) || !s->slots[a->from[i]].length || s->slots[a->to[i]].length)
      return grpo_fail(call, GRPO_STATUS_INVALID, "fake: fork goes from a slot with tokens to an empty one");
  for (int64_t i = 0; i < a->n; ++i) {
    slot *from = &s->slots[a->from[i]], *to = &s->slots[a->to[i]];
    if (from->length > from->shared) {
      run* r = malloc(sizeof *r);
      if (!r) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: no memory");
      *r = (run){from->run, from->length - from->shared, 1};
      from->run = r;
      from->shared = from->length;
    }
    from->run->users++;
    memcpy(to->token, from->token, sizeof(int32_t) * (size_t)from->length);
    to->length = to->shared = from->length;
    to->run = from->run;
  }
  return GRPO_STATUS_OK;
}

static grpo_status decode_assign(void* handle, const grpo_call* call, const grpo_decode_assign* a) {
  session* s = handle;
  for (int64_t i = 0; i < a->n; ++i)
    if ((grpo_sampling_used(a->sampling[i]) & ~s->m->decode_info.sampling) || a->sampling[i]->n_stop > STOPS)
      return grpo_fail(call, GRPO_STATUS_UNSUPPORTED, "fake: a sampling option, or more than 8 stop ids");
  for (int64_t i = 0; i < a->n; ++i) {
    slot* q = &s->slots[a->slot[i]];
    const grpo_sampling* o = a->sampling[i];
    q->assigned = 1;
    q->first = q->length;
    q->key = a->key[i];
    q->temperature = o->temperature;
    q->top_p = o->top_p > 0 ? o->top_p : 1;
    q->min_p = o->min_p;
    q->penalty = o->repetition_penalty > 0 ? o->repetition_penalty : 1;
    q->top_k = o->top_k > 0 && o->top_k < VOCABULARY ? o->top_k : VOCABULARY;
    q->min_new = o->min_new;
    q->max_new = o->max_new > 0 ? o->max_new : INT32_MAX;
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
  for (int64_t i = 0; i < q->length; ++i) seen[q->token[i]] = 1;
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

static int32_t draw(const slot* q, const double* p) {
  const double u = grpo_random_uniform(q->key, (uint64_t)q->length);
  double sum = 0;
  int32_t last = 0;
  for (int32_t v = 0; v < VOCABULARY; ++v) {
    if (p[v] > 0) last = v;
    if ((sum += p[v]) > u) return v;
  }
  return last;
}

static grpo_status decode_step(void* handle, const grpo_call* call, const grpo_decode_step* a) {
  session* s = handle;
  const int32_t most = s->m->decode_info.max_room;
  if (s->m->fail_step && ++s->m->steps == s->m->fail_step)
    return grpo_fail(call, GRPO_STATUS_FAILED, "fake: this step fails, as asked");
  if (a->room < 1 || (most && a->room > most)) return grpo_fail(call, GRPO_STATUS_INVALID, "fake: room");
  for (int64_t i = 0; i < a->n; ++i)
    if (!is_slot(s, a->slot[i]) || !s->slots[a->slot[i]].assigned)
      return grpo_fail(call, GRPO_STATUS_INVALID, "fake: no such slot, or it has no assignment");
  if (!(a->flags & GRPO_STEP_PEEK) && decode_free_tokens(s) < a->n * a->room)
    return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: the cache is full");
  for (int64_t i = 0; i < a->n; ++i) {
    slot* q = &s->slots[a->slot[i]];
    a->count[i] = 0;
    a->ended[i] = GRPO_FINISH_NONE;
    for (int64_t k = 0; k < a->room && !a->ended[i]; ++k) {
      const int32_t previous = q->length > 1 ? q->token[q->length - 2] : -1;
      const float* z = s->m->value + fake_row(previous, q->token[q->length - 1]) * VOCABULARY;
      if (a->logits && k == 0) memcpy(a->logits + i * VOCABULARY, z, sizeof(float) * VOCABULARY);
      if (a->flags & GRPO_STEP_PEEK) break;
      double p[VOCABULARY];
      distribution(q, z, p);
      const int32_t token = a->force && k == 0 && a->force[i] >= 0 ? a->force[i] : draw(q, p);
      const int64_t at = i * a->room + k;
      const double t = q->temperature > 0 ? q->temperature : 1;
      a->token[at] = token;
      if (a->logprob) a->logprob[at] = (float)(z[token] / t - fake_log_sum_exp(z, t, NULL));
      if (a->logprob_sampled) a->logprob_sampled[at] = (float)log(p[token]);
      q->token[q->length++] = token;
      s->used++;
      a->count[i]++;
      if (is_stop(q, token))
        a->ended[i] = GRPO_FINISH_STOP;
      else if (q->length - q->first >= q->max_new || q->length == s->m->info.max_positions)
        a->ended[i] = GRPO_FINISH_LENGTH;
    }
  }
  return GRPO_STATUS_OK;
}

static void decode_release(void* handle, int64_t n, const int64_t* which) {
  session* s = handle;
  for (int64_t i = 0; i < n; ++i) forget(s, &s->slots[which[i]]);
}

const grpo_decode fake_decode_table = {.struct_size = sizeof(grpo_decode),
                                       .describe = decode_describe,
                                       .session_open = decode_session_open,
                                       .session_close = decode_session_close,
                                       .free_tokens = decode_free_tokens,
                                       .prefill = decode_prefill,
                                       .fork = decode_fork,
                                       .assign = decode_assign,
                                       .step = decode_step,
                                       .release = decode_release};
