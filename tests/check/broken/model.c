/* A model that breaks one rule. Four ids, all equally probable; one parameter of four numbers. */
#include <grpo/decode.h>
#include <grpo/host.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "how.h"

GRPO_MANIFEST({
  "name": "broken_model", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.model/1", "name": "broken", "offers": ["grpo.decode/1"],
                  "options": {"how": {"type": "string", "default": ""}}},
                 {"interface": "grpo.model/1", "name": "silent", "options": {"how": {"type": "string", "default": ""}}}]
});

enum { VOCABULARY = 4, SLOTS = 8, POSITIONS = 32 };

typedef struct {
  how how;
  grpo_model_info info, other_info;
  grpo_decode_info decode_info;
  float value[4], gradient[4];
  int64_t shape[1], long_shape[1];
  grpo_tensor value_tensor, gradient_tensor;
  grpo_parameter parameter, second;
  const grpo_parameter* parameters[2];
  uint64_t last_ticket;
  int asked;
  const grpo_tensor_sink* sink;
  const grpo_comm* comm;
  int64_t used;
  int64_t limit[SLOTS], made[SLOTS];
  int32_t stop[SLOTS];
} broken;

static grpo_tensor tensor_of(float* data, int64_t* shape) {
  grpo_tensor t = {.struct_size = sizeof t};
  t.dl = (grpo_dltensor){data, GRPO_DEVICE_CPU, 0, 1, GRPO_TYPE_FLOAT, 32, 1, shape, NULL, 0};
  return t;
}

static grpo_status broken_open(const grpo_call* call, const grpo_options* options, void** handle) {
  broken* self = calloc(1, sizeof *self);
  if (!self) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "no memory");
  self->how = how_of(options);
  self->comm = call->service(call, GRPO_COMM_ID);
  self->info = (grpo_model_info){.struct_size = sizeof self->info,
                                 .flags = GRPO_MODEL_TRAIN | GRPO_MODEL_ENTROPY | GRPO_MODEL_IMPORT,
                                 .vocabulary = VOCABULARY,
                                 .max_positions = POSITIONS,
                                 .max_tickets = 2,
                                 .n_elements = 4,
                                 .device_type = GRPO_DEVICE_CPU};
  if (HOW("struct.reserved")) self->info.reserved = 1;
  if (HOW("struct.size")) self->info.struct_size = 8;
  self->decode_info = (grpo_decode_info){.struct_size = sizeof self->decode_info, .sampling = 0, .max_room = 8};
  for (int i = 0; i < 4; ++i) self->value[i] = 1;
  self->shape[0] = 4;
  self->long_shape[0] = HOW("tensor.invalid") ? -4 : 4;
  self->value_tensor = tensor_of(self->value, self->shape);
  self->gradient_tensor = tensor_of(self->gradient, self->long_shape);
  self->parameter = (grpo_parameter){sizeof self->parameter, 0, "w", &self->value_tensor, &self->gradient_tensor};
  self->second = self->parameter;
  self->parameters[0] = &self->parameter;
  self->parameters[1] = &self->second;
  *handle = self;
  return GRPO_STATUS_OK;
}
static void broken_close(void* handle) { free(handle); }

static const grpo_model_info* broken_describe(void* handle) {
  broken* self = handle;
  self->other_info = self->info;
  return HOW("struct.changed") && self->asked++ > 0 ? &self->other_info : &self->info;
}
static grpo_status broken_parameters(void* handle, const grpo_call* call, int64_t* n,
                                     const grpo_parameter* const** list) {
  broken* self = handle;
  (void)call;
  *n = HOW("name.repeated") ? 2 : 1;
  *list = self->parameters;
  return GRPO_STATUS_OK;
}

static void* reduce(void* context) {
  const broken* self = context;
  self->comm->all_reduce(self->comm, NULL, NULL, GRPO_COMM_SUM, &self->value_tensor);
  return NULL;
}
static void in_a_thread(void* (*run)(void*), void* context) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, context) == 0) pthread_join(thread, NULL);
}

static grpo_status broken_forward(void* handle, const grpo_call* call, const grpo_forward* f) {
  broken* self = handle;
  (void)call;
  for (int64_t i = 0; i < f->n_targets; ++i) {
    f->logprob[i] = -logf(VOCABULARY);
    if (f->entropy) f->entropy[i] = logf(VOCABULARY);
  }
  if (HOW("model.forward.nan")) f->logprob[0] = NAN;
  if (HOW("model.forward.positive")) f->logprob[0] = 0.5f;
  if (HOW("model.forward.entropy") && f->entropy) f->entropy[0] = -1;
  if (HOW("model.values.changed")) self->value[0] += 1;
  if (HOW("service.thread") && self->comm) in_a_thread(reduce, self);
  if (f->ticket && !HOW("model.ticket.missing")) *f->ticket = ++self->last_ticket;
  return GRPO_STATUS_OK;
}
static grpo_status broken_backward(void* handle, const grpo_call* call, const grpo_backward* b) {
  broken* self = handle;
  (void)call;
  self->gradient[0] += HOW("model.backward.nan") ? NAN : b->dlogprob[0];
  return GRPO_STATUS_OK;
}
static void broken_drop(void* handle, uint64_t ticket) { (void)handle, (void)ticket; }
static grpo_status broken_zero_grad(void* handle, const grpo_call* call) {
  broken* self = handle;
  (void)call;
  for (int i = 0; i < 4; ++i) self->gradient[i] = HOW("model.zero_grad.left") ? 1 : 0;
  return GRPO_STATUS_OK;
}
static grpo_status broken_commit(void* handle, const grpo_call* call, int64_t version) {
  (void)handle, (void)call, (void)version;
  return GRPO_STATUS_OK;
}

typedef struct {
  broken* self;
  const grpo_call* call;
  const grpo_tensor_source* source;
} stream;
static void* put(void* context) {
  stream* s = context;
  const grpo_named_tensor named = {sizeof named, 0, "w", &s->self->value_tensor};
  const grpo_named_tensor* list[] = {&named};
  s->self->sink->put(s->self->sink, s->call, 1, list);
  return NULL;
}
static grpo_status broken_export(void* handle, const grpo_call* call, const grpo_tensor_sink* sink) {
  broken* self = handle;
  stream s = {self, call, NULL};
  if (HOW("sink.stale") && self->sink) put(&s);
  self->sink = sink;
  HOW("sink.thread") ? in_a_thread(put, &s) : (void)put(&s);
  return GRPO_STATUS_OK;
}
static void* get(void* context) {
  stream* s = context;
  const grpo_tensor* tensor;
  s->source->get(s->source, s->call, "w", &tensor);
  return NULL;
}
static grpo_status broken_import(void* handle, const grpo_call* call, int64_t version,
                                 const grpo_tensor_source* source) {
  broken* self = handle;
  stream s = {self, call, source};
  (void)version;
  const grpo_tensor* tensor;
  if (HOW("source.name")) source->get(source, call, NULL, &tensor);
  if (HOW("source.thread")) in_a_thread(get, &s);
  return GRPO_STATUS_OK;
}

/* ---- decoding: the next id is always 1; room for SLOTS * POSITIONS tokens */

static const grpo_decode_info* decode_describe(void* model) { return &((broken*)model)->decode_info; }
static grpo_status session_open(void* model, const grpo_call* call, const grpo_decode_session* wanted, void** session) {
  (void)call, (void)wanted;
  *session = model;
  return GRPO_STATUS_OK;
}
static void session_close(void* session) { (void)session; }
static int64_t free_tokens(void* session) {
  broken* self = session;
  return HOW("decode.free_tokens") ? -1 : 100 - self->used;
}
static grpo_status prefill(void* session, const grpo_call* call, const grpo_decode_prefill* p) {
  broken* self = session;
  (void)call;
  self->used += p->start[p->n];
  return GRPO_STATUS_OK;
}
static grpo_status fork_slots(void* session, const grpo_call* call, const grpo_decode_fork* f) {
  (void)session, (void)call, (void)f;
  return GRPO_STATUS_OK;
}
static grpo_status assign(void* session, const grpo_call* call, const grpo_decode_assign* a) {
  broken* self = session;
  (void)call;
  for (int64_t i = 0; i < a->n; ++i) {
    self->limit[a->slot[i]] = a->sampling[i]->max_new;
    self->made[a->slot[i]] = 0;
    self->stop[a->slot[i]] = a->sampling[i]->n_stop ? a->sampling[i]->stop[0] : -1;
  }
  return GRPO_STATUS_OK;
}
static grpo_status step(void* session, const grpo_call* call, const grpo_decode_step* d) {
  broken* self = session;
  (void)call;
  for (int64_t i = 0; i < d->n; ++i) {
    const int64_t slot = d->slot[i], left = self->limit[slot] - self->made[slot];
    const int64_t n = left < d->room && !HOW("decode.step.limit") ? left : d->room;
    for (int64_t k = 0; k < n; ++k) {
      d->token[i * d->room + k] = k == 0 && d->force && d->force[i] >= 0 && !HOW("decode.step.force") ? d->force[i] : 1;
      if (d->logprob) d->logprob[i * d->room + k] = -logf(VOCABULARY);
    }
    self->made[slot] += n;
    d->count[i] = (int32_t)n;
    d->ended[i] = self->made[slot] == self->limit[slot] ? GRPO_FINISH_LENGTH : GRPO_FINISH_NONE;
    if (HOW("decode.step.token")) d->token[i * d->room] = VOCABULARY;
    if (HOW("decode.step.count")) d->count[i] = -1;
    if (HOW("decode.step.ended")) d->ended[i] = GRPO_FINISH_STOP;
    if (HOW("decode.step.limit")) d->ended[i] = GRPO_FINISH_NONE;
    if (HOW("decode.step.logprob") && d->logprob) d->logprob[i * d->room] = NAN;
  }
  return GRPO_STATUS_OK;
}
static void release(void* session, int64_t n, const int64_t* slot) {
  broken* self = session;
  (void)n, (void)slot;
  self->used = HOW("decode.cache.leaked") ? 1 : 0;
}
static const grpo_decode decode_table = {sizeof decode_table,
                                         0,
                                         decode_describe,
                                         session_open,
                                         session_close,
                                         free_tokens,
                                         prefill,
                                         fork_slots,
                                         assign,
                                         step,
                                         release};
static const grpo_decode other_table = {sizeof other_table,
                                        0,
                                        decode_describe,
                                        session_open,
                                        session_close,
                                        free_tokens,
                                        prefill,
                                        fork_slots,
                                        assign,
                                        step,
                                        release};

static const void* broken_query(void* handle, const char* id) {
  broken* self = handle;
  if (strcmp(id, GRPO_DECODE_ID) != 0) return NULL;
  return HOW("query.changed") && self->asked++ > 0 ? &other_table : &decode_table;
}

static const grpo_model table = {sizeof(grpo_model), 0,
                                 broken_open,        broken_close,
                                 broken_query,       broken_describe,
                                 broken_parameters,  broken_forward,
                                 broken_backward,    broken_drop,
                                 broken_zero_grad,   broken_commit,
                                 broken_export,      broken_import};
static const grpo_component components[] = {{sizeof(grpo_component), 0, GRPO_MODEL_ID, "broken", &table},
                                            {sizeof(grpo_component), 0, GRPO_MODEL_ID, "silent", &table}};
static const grpo_component* const list[] = {&components[0], &components[1]};
GRPO_PLUGIN(list);
