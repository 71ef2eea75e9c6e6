/* fake: a sampler that drives the decoder of the bound model; new requests join while others run. */
#include <grpo/sampler.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

GRPO_MANIFEST({
  "name": "fake_sampler", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.sampler/1", "name": "fake", "options": {
    "slots": {"type": "integer", "default": 48}, "room": {"type": "integer", "default": 8}}}]
});

enum { LONGEST = 256, CANCELS = 64 };

typedef struct { /* a slot that is generating; a slot whose request is NULL is free */
  const grpo_request* request;
  int64_t index, n;
  int32_t ids[LONGEST];
  float logprob[LONGEST], sampled[LONGEST];
} row;

typedef struct {
  grpo_sampler_info info;
  const grpo_sampler_binding* bound;
  int64_t slots, room, version;
  row* rows;                        /* [slots] */
  _Atomic uint64_t cancel[CANCELS]; /* id + 1; 0: free */
} sampler;

static grpo_status sampler_open(const grpo_call* call, const grpo_options* options, void** handle) {
  sampler* s = calloc(1, sizeof *s);
  if (!s) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: no memory");
  s->info.struct_size = sizeof s->info;
  s->info.flags = GRPO_SAMPLER_BINDS;
  s->info.logprob_kind = GRPO_LOGPROB_TEMPERED;
  s->slots = grpo_option_integer(options, "slots", 48);
  s->room = grpo_option_integer(options, "room", 8);
  s->rows = calloc((size_t)s->slots, sizeof *s->rows);
  *handle = s;
  return s->rows ? GRPO_STATUS_OK : (free(s), grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: no memory"));
}

static void sampler_close(void* handle) {
  sampler* s = handle;
  free(s->rows);
  free(s);
}

static const grpo_sampler_info* sampler_describe(void* handle) { return &((sampler*)handle)->info; }

static grpo_status sampler_bind(void* handle, const grpo_call* call, const grpo_sampler_binding* binding) {
  sampler* s = handle;
  if (!binding->decode_table)
    return grpo_fail(call, GRPO_STATUS_UNSUPPORTED, "fake: the model offers no grpo.decode/1");
  s->bound = binding;
  s->info.sampling = binding->decode_table->describe(binding->model)->sampling;
  return GRPO_STATUS_OK;
}

static void sampler_cancel(void* handle, uint64_t request) {
  sampler* s = handle;
  for (int i = 0; i < CANCELS; ++i) {
    uint64_t none = 0;
    if (atomic_load(&s->cancel[i]) == request + 1) return;
    if (atomic_compare_exchange_strong(&s->cancel[i], &none, request + 1)) return;
  }
}

static int cancelled(const sampler* s, const grpo_request* request) {
  for (int i = 0; i < CANCELS; ++i)
    if (atomic_load(&s->cancel[i]) == request->id + 1) return 1;
  return 0;
}

static grpo_status deliver(const sampler* s, const row* r, const grpo_call* call, const grpo_feed* feed,
                           int32_t finish) {
  grpo_completion c = {.struct_size = sizeof c,
                       .request = r->request->id,
                       .index = r->index,
                       .n = r->n,
                       .ids = r->ids,
                       .finish = finish,
                       .logprob_kind = GRPO_LOGPROB_TEMPERED,
                       .logprob = r->logprob,
                       .logprob_sampled = r->sampled,
                       .version = s->version};
  return feed->deliver(feed, call, &c);
}

/* Prompt into the first of the request's slots, then the others from it. Slots are in free[0 .. n_samples). */
static grpo_status start(sampler* s, void* session, const grpo_call* call, const grpo_request* q,
                         const int64_t* free_slot) {
  const grpo_decode* d = s->bound->decode_table;
  const int64_t span[2] = {0, q->n_prompt};
  int64_t from[64];
  uint64_t key[64];
  const grpo_sampling* sampling[64];
  for (int64_t i = 0; i < q->n_samples; ++i) {
    from[i] = free_slot[0];
    key[i] = grpo_random_key(q->key, (uint64_t)i);
    sampling[i] = q->sampling;
    s->rows[free_slot[i]].request = q;
    s->rows[free_slot[i]].index = i;
    s->rows[free_slot[i]].n = 0;
  }
  const grpo_decode_prefill prompt = {
      .struct_size = sizeof prompt, .n = 1, .slot = free_slot, .start = span, .token = q->prompt};
  const grpo_decode_fork others = {
      .struct_size = sizeof others, .n = q->n_samples - 1, .from = from, .to = free_slot + 1};
  const grpo_decode_assign all = {
      .struct_size = sizeof all, .n = q->n_samples, .slot = free_slot, .key = key, .sampling = sampling};
  grpo_status status = d->prefill(session, call, &prompt);
  if (!status) status = d->fork(session, call, &others);
  return status ? status : d->assign(session, call, &all);
}

static grpo_status sampler_generate(void* handle, const grpo_call* call, const grpo_feed* feed) {
  sampler* s = handle;
  const grpo_decode* d = s->bound->decode_table;
  const grpo_decode_session wanted = {.struct_size = sizeof wanted, .slots = s->slots, .tokens = s->slots * LONGEST};
  const int64_t cells = s->slots * s->room;
  int64_t* list = call->alloc(call, 2 * s->slots * (int64_t)sizeof *list); /* free slots, then live ones */
  int32_t* token = call->alloc(call, (cells + 2 * s->slots) * (int64_t)sizeof *token);
  float* logprob = call->alloc(call, 2 * cells * (int64_t)sizeof *logprob);
  if (!list || !token || !logprob) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "fake: no memory");
  int64_t* live = list + s->slots;
  void* session;
  grpo_status status = d->session_open(s->bound->model, call, &wanted, &session);
  if (status) return status;
  const grpo_request* next = NULL; /* taken, but there was no room yet */
  int open = 1;
  for (;;) {
    int64_t n_free = 0, n_live = 0;
    for (int64_t i = 0; i < s->slots; ++i) *(s->rows[i].request ? &live[n_live++] : &list[n_free++]) = i;
    while (open && !next && !(status = feed->next(feed, call, n_live ? 0 : 1000000, &next))) {
      if (next->n_samples > s->slots || next->n_samples > 64)
        status = grpo_fail(call, GRPO_STATUS_UNSUPPORTED, "fake: more samples than slots");
      if (status || next->n_samples > n_free) break;
      n_free -= next->n_samples;
      if ((status = start(s, session, call, next, list + n_free))) break;
      for (int64_t i = 0; i < next->n_samples; ++i) live[n_live++] = list[n_free + i];
      next = NULL;
    }
    if (status == GRPO_STATUS_END) open = 0, status = GRPO_STATUS_OK;
    if (status == GRPO_STATUS_AGAIN) status = GRPO_STATUS_OK;
    if (!status && call->cancelled(call)) status = GRPO_STATUS_CANCELLED;
    if (status || (!open && !next && !n_live)) break;
    if (next && next->n_samples <= n_free) { /* it waited for room */
      status = start(s, session, call, next, list + n_free - next->n_samples);
      next = NULL;
      if (status) break;
      continue;
    }
    if (!n_live) continue;
    const grpo_decode_step step = {.struct_size = sizeof step,
                                   .n = n_live,
                                   .room = s->room,
                                   .slot = live,
                                   .token = token,
                                   .count = token + cells,
                                   .ended = token + cells + s->slots,
                                   .logprob = logprob,
                                   .logprob_sampled = logprob + cells};
    if ((status = d->step(session, call, &step))) break;
    for (int64_t i = 0; i < n_live && !status; ++i) {
      row* r = &s->rows[live[i]];
      const size_t count = (size_t)step.count[i];
      memcpy(r->ids + r->n, step.token + i * s->room, count * sizeof *r->ids);
      memcpy(r->logprob + r->n, step.logprob + i * s->room, count * sizeof *r->logprob);
      memcpy(r->sampled + r->n, step.logprob_sampled + i * s->room, count * sizeof *r->sampled);
      r->n += step.count[i];
      const int32_t finish = step.ended[i]              ? step.ended[i]
                             : cancelled(s, r->request) ? GRPO_FINISH_CANCELLED
                                                        : GRPO_FINISH_NONE;
      if (!finish) continue;
      status = deliver(s, r, call, feed, finish);
      r->request = NULL;
      d->release(session, 1, &live[i]);
    }
    if (status) break;
  }
  for (int64_t i = 0; i < s->slots; ++i) s->rows[i].request = NULL;
  for (int i = 0; i < CANCELS; ++i) atomic_store(&s->cancel[i], 0);
  d->session_close(session);
  return status;
}

static void sampler_model_changed(void* handle, int64_t version) { ((sampler*)handle)->version = version; }

static const grpo_sampler table = {.struct_size = sizeof(grpo_sampler),
                                   .open = sampler_open,
                                   .close = sampler_close,
                                   .describe = sampler_describe,
                                   .bind = sampler_bind,
                                   .generate = sampler_generate,
                                   .cancel = sampler_cancel,
                                   .model_changed = sampler_model_changed};

GRPO_PLUGIN_ONE(GRPO_SAMPLER_ID, "fake", &table);
