/* A reward that breaks one rule. Scores are 1. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grpo/host.h>
#include <grpo/reward.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "how.h"

GRPO_MANIFEST({
  "name": "broken_reward", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.reward/1", "name": "broken", "options": {"how": {"type": "string", "default": ""}}},
                 {"interface": "grpo.reward/1", "name": "concurrent", "options": {"how": {"type": "string", "default": ""}}}]
});

typedef struct {
  how how;
  const grpo_call* call;
  const grpo_options* options;
  const char* text;
  const grpo_log* log;
  const grpo_metrics* metrics;
  const grpo_tasks* tasks;
} broken;

static void* sleeper(void* unused) {
  (void)unused;
  usleep(300000);
  return NULL;
}
static void* late_writer(void* log) { /* waits for the end of the handle, whose memory it does not read */
  for (int i = 0; i < 20; ++i) {
    usleep(20000);
    ((const grpo_log*)log)->write(log, GRPO_LOG_INFO, "late", 4);
  }
  return NULL;
}
static void start(void* (*run)(void*), void* argument) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, argument) == 0) pthread_detach(thread);
}

static grpo_status broken_open(const grpo_call* call, const grpo_options* options, void** handle) {
  broken* self = calloc(1, sizeof *self);
  if (!self) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "no memory");
  self->how = how_of(options);
  self->log = call->service(call, GRPO_LOG_ID);
  self->metrics = call->service(call, GRPO_METRICS_ID);
  self->tasks = call->service(call, GRPO_TASKS_ID);
  self->options = options;
  if (HOW("call.progress")) call->progress(call, 3, 2);
  if (HOW("call.service")) call->service(call, NULL);
  if (HOW("handle.threads")) start(sleeper, NULL);
  if (HOW("handle.descriptors") && open("/dev/null", O_RDONLY) < 0) abort();
  *handle = self;
  return GRPO_STATUS_OK;
}
static void broken_close(void* handle) { free(handle); }
static const void* broken_query(void* handle, const char* id) {
  const broken* self = handle;
  return HOW("query.unknown") && strcmp(id, "example.extra/1") == 0 ? self : NULL;
}

static __attribute__((noinline)) grpo_str text_on_the_stack(void) {
  char text[64];
  volatile char* out = text;
  for (int i = 0; i < 63; ++i) out[i] = 'x';
  out[63] = 0;
  grpo_str s = {NULL, 63};
  char* volatile escaped = text;
  s.data = escaped;
  return s;
}

static void body(void* context, int64_t begin, int64_t end) { (void)context, (void)begin, (void)end; }
typedef struct {
  const broken* self;
  const grpo_call* call;
} nested;
static void nested_body(void* context, int64_t begin, int64_t end) {
  const nested* n = context;
  (void)begin, (void)end;
  n->self->tasks->parallel_for(n->self->tasks, n->call, 1, 1, body, NULL);
}

static void break_result(const broken* self, const grpo_call* call, int64_t n, const grpo_reward_result* r) {
  if (HOW("results.outside")) r->score[n] = 2;
  if (HOW("reward.score.nan")) r->score[1] = NAN;
  if (HOW("reward.score.infinite")) r->score[1] = INFINITY;
  if (HOW("reward.score.status")) r->status[1] = 77;
  if (HOW("reward.score.message")) r->status[1] = GRPO_SAMPLE_ERROR;
  if (HOW("reward.component.name")) r->component(r, "");
  if (HOW("reward.component.infinite")) r->component(r, "part")[0] = INFINITY;
  if (HOW("text.null")) r->message[1] = (grpo_str){NULL, 3};
  if (HOW("text.utf8")) r->message[1] = (grpo_str){"\xC3(", 2};
  if (HOW("text.final_zero")) r->message[1] = (grpo_str){"abc", 2};
  if (HOW("text.stack")) r->message[1] = text_on_the_stack();
  if (HOW("call.alloc.overrun")) memset(call->alloc(call, 100), 1, 101);
}

static void break_call(broken* self, const grpo_call* call) {
  if (HOW("call.alloc.size")) call->alloc(call, -1);
  if (HOW("call.fail.text")) call->fail(call, GRPO_STATUS_FAILED, NULL, 0);
  if (HOW("call.fail.status")) call->fail(call, GRPO_STATUS_OK, "fine", 4);
  if (HOW("call.stale") && self->call && self->call->cancelled(self->call)) self->call = NULL;
  if (HOW("options.stale")) grpo_option_integer(self->options, "how", 0);
  if (HOW("service.arguments")) self->log->write(self->log, GRPO_LOG_INFO, NULL, 4);
  if (HOW("service.metric")) self->metrics->add(self->metrics, "loss", NAN);
  if (HOW("service.closed")) start(late_writer, (void*)self->log);
  if (HOW("service.outside")) {
    nested n = {self, call};
    self->tasks->parallel_for(self->tasks, call, 1, 1, nested_body, &n);
  }
}

static grpo_status broken_score(void* handle, const grpo_call* call, const grpo_reward_batch* batch,
                                const grpo_reward_result* result) {
  broken* self = handle;
  double sum = 1;
  if (HOW("memory.kept") && self->text) sum += self->text[0] == 'a';
  for (int64_t i = 0; i < batch->n_samples; ++i) result->score[i] = sum;
  break_call(self, call);
  break_result(self, call, batch->n_samples, result);
  if (HOW("inputs.written")) ((char*)batch->completion[0].data)[0] = 'X';
  if (HOW("thread.one_at_a_time")) usleep(200000);
  self->call = call;
  self->text = batch->completion[0].data;
  if (HOW("status.unknown")) return 77;
  if (HOW("status.unasked")) return GRPO_STATUS_CANCELLED;
  if (HOW("status.no_reason")) return GRPO_STATUS_FAILED;
  return GRPO_STATUS_OK;
}

static const grpo_reward table = {sizeof(grpo_reward), 0, broken_open, broken_close, broken_query, broken_score};
static const grpo_reward concurrent = {sizeof(grpo_reward), GRPO_REWARD_CONCURRENT, broken_open,
                                       broken_close,        broken_query,           broken_score};
static const grpo_component components[] = {{sizeof(grpo_component), 0, GRPO_REWARD_ID, "broken", &table},
                                            {sizeof(grpo_component), 0, GRPO_REWARD_ID, "concurrent", &concurrent}};
static const grpo_component* const list[] = {&components[0], &components[1]};
GRPO_PLUGIN(list);
