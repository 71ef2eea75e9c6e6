/* A reward that is sound, and with the option "fault" wrong in one way. It scores by the length of the text. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grpo/host.h>
#include <grpo/reward.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* clang-format off */
GRPO_MANIFEST({
  "name": "broken_reward", "version": "1.0.0", "licence": "MIT",
  "components": [{"interface": "grpo.reward/1", "name": "broken", "options": {
    "fault": {"type": "string", "default": "", "description": "what is wrong with it"},
    "divisor": {"type": "integer", "default": 10, "minimum": 0}}}]
});
/* clang-format on */

typedef struct {
  char fault[32];
  int64_t divisor, calls;
  const grpo_reward_batch* kept;
  grpo_str kept_text;
  char* lost;
  volatile int busy;
} state;

static volatile int open_now, score_now; /* shared, as it must not be */
static __thread int opened_here;
static void* volatile lost_memory;

static int is(const state* s, const char* fault) { return !strcmp(s->fault, fault); }

static void* sleep_for_ever(void* unused) {
  for (;;) pause();
  return unused;
}

/* Two at once find each other here. */
static int collides(volatile int* in_use) {
  const int taken = *in_use;
  *in_use = 1;
  usleep(200);
  *in_use = 0;
  return taken;
}

static grpo_status fault_at_open(state* s, const grpo_call* call, const grpo_options* options) {
  if (is(s, "needs_log")) {
    const grpo_log* log = call->service(call, GRPO_LOG_ID);
    log->write(log, GRPO_LOG_INFO, "hello", 5);
  }
  if (is(s, "keeps_call")) s->lost = (char*)call;
  if (is(s, "leaks_memory")) lost_memory = malloc(1000);
  if (is(s, "leaks_descriptor")) (void)!open("/dev/null", O_RDONLY);
  if (is(s, "leaks_thread")) {
    pthread_t thread;
    pthread_create(&thread, NULL, sleep_for_ever, NULL);
  }
  if (is(s, "exact_size") && (call->struct_size != sizeof *call || options->struct_size != sizeof *options))
    return grpo_fail(call, GRPO_STATUS_INVALID, "not my headers");
  if (is(s, "reads_further") && *(const volatile int*)((const char*)options + sizeof *options)) s->calls = 0;
  if (is(s, "one_open") && collides(&open_now)) return grpo_fail(call, GRPO_STATUS_FAILED, "somebody else is opening");
  if (is(s, "divides") && s->divisor == 0) abort();
  if (is(s, "silent_refusal") && s->divisor == 0) return GRPO_STATUS_INVALID;
  if (is(s, "leaks_at_failure") && s->divisor == 0) {
    lost_memory = malloc(1000);
    return grpo_fail(call, GRPO_STATUS_INVALID, "divisor 0");
  }
  opened_here = 1;
  return GRPO_STATUS_OK;
}

static grpo_status broken_open(const grpo_call* call, const grpo_options* options, void** handle) {
  grpo_str fault = {"", 0};
  state* s = calloc(1, sizeof *s);
  if (!s) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "no memory");
  options->text(options, "fault", &fault);
  if (fault.size < (int64_t)sizeof s->fault) memcpy(s->fault, fault.data, (size_t)fault.size);
  s->divisor = grpo_option_integer(options, "divisor", 10);
  const grpo_status status = fault_at_open(s, call, options);
  if (status) return free(s), status;
  *handle = s;
  return GRPO_STATUS_OK;
}

static void broken_close(void* handle) {
  const state* s = handle;
  if (is(s, "keeps_call")) ((const grpo_call*)(void*)s->lost)->cancelled((const grpo_call*)(void*)s->lost);
  free(handle);
}

static const void* broken_query(void* handle, const char* id) {
  (void)id;
  return is(handle, "answers_all") ? handle : NULL;
}

/* A frame for each byte: what std::regex does with a long text. */
static double deep(const char* at, int64_t left) {
  volatile char frame[512];
  frame[left % 512] = 1;
  return left == 0 ? 0 : deep(at + 1, left - 1) + frame[left % 512];
}

/* What is wrong with one sample. */
static double fault_of_sample(state* s, const grpo_reward_batch* b, const grpo_reward_result* r, int64_t i,
                              double score) {
  const grpo_str text = b->completion[i];
  if (is(s, "counts")) return score + (double)++s->calls;
  if (is(s, "by_place")) return score + (double)i;
  if (is(s, "by_size")) return score / (double)b->n_samples;
  if (is(s, "shares_handle") && collides(&s->busy)) return score + 1;
  if (is(s, "shares_all") && collides(&score_now)) return score + 1;
  if (is(s, "thread_local") && !opened_here) return score + 1;
  if (is(s, "recursion")) return deep(text.data, text.size);
  if (is(s, "strlen") && (int64_t)strlen(text.data) != text.size) abort();
  if (is(s, "column") && !b->columns[0]->name[0]) return 0;
  if (is(s, "infinite") && i == 1) return 1e308 * 10;
  if (is(s, "mute_error") && i == 1) r->status[i] = GRPO_SAMPLE_ERROR;
  if (is(s, "odd_status") && i == 1) r->status[i] = 77;
  if (is(s, "into_input")) ((int64_t*)b->index)[i] = 0;
  if (is(s, "slow")) usleep(2500);
  return score;
}

static grpo_status broken_score(void* handle, const grpo_call* call, const grpo_reward_batch* b,
                                const grpo_reward_result* r) {
  state* s = handle;
  if (is(s, "exact_batch") && (b->struct_size != sizeof *b || r->struct_size != sizeof *r))
    return grpo_fail(call, GRPO_STATUS_INVALID, "not my headers");
  if (is(s, "hangs"))
    for (;;) pause();
  if (is(s, "exits")) exit(3);
  if (is(s, "keeps_batch") && s->kept_text.data && s->kept_text.data[0] == 'S') ++s->calls;
  if (is(s, "keeps_batch")) s->kept_text = b->completion[0];
  if (is(s, "leaks_scoring")) lost_memory = malloc(1000);
  double* length = is(s, "needs_component") || is(s, "") ? r->component(r, "length") : NULL;
  if (is(s, "needs_component")) length[0] = 0;
  if (is(s, "needs_alloc")) ((char*)call->alloc(call, 64))[0] = 1;
  for (int64_t i = 0; i < b->n_samples; ++i) {
    if (!is(s, "slow") && call->cancelled(call)) return GRPO_STATUS_CANCELLED;
    if (is(s, "forgets_last") && i == b->n_samples - 1) break;
    const double size = (double)b->completion[i].size;
    r->score[i] = fault_of_sample(s, b, r, i, s->divisor ? size / (double)s->divisor : size);
    if (length) length[i] = size;
  }
  if (is(s, "past_end")) r->score[b->n_samples] = 1;
  if (is(s, "before_begin")) r->status[-1] = 0;
  return GRPO_STATUS_OK;
}

static const grpo_reward table = {.struct_size = sizeof(grpo_reward),
                                  .flags = GRPO_REWARD_CONCURRENT,
                                  .open = broken_open,
                                  .close = broken_close,
                                  .query = broken_query,
                                  .score = broken_score};
GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "broken", &table);
