/* rogue: a sampler that breaks its contract in the way that the option `how` names. */
#include <grpo/sampler.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

GRPO_MANIFEST({
  "name": "rogue_sampler", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.sampler/1", "name": "rogue", "options": {"how": {"type": "string", "required": true,
    "enum": ["not", "twice", "missing", "early", "stranger", "index", "silent", "nan", "id", "long", "finish"]}}}]
});

typedef struct {
  grpo_sampler_info info;
  char how[16];
} rogue;

static grpo_status rogue_open(const grpo_call* call, const grpo_options* options, void** handle) {
  rogue* self = calloc(1, sizeof *self);
  grpo_str how = {"", 0};
  if (!self) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "no memory");
  options->text(options, "how", &how);
  strncpy(self->how, how.data, sizeof self->how - 1);
  self->info.struct_size = sizeof self->info;
  self->info.logprob_kind = GRPO_LOGPROB_RAW;
  *handle = self;
  return GRPO_STATUS_OK;
}

static void rogue_close(void* handle) { free(handle); }
static const grpo_sampler_info* rogue_describe(void* handle) { return &((rogue*)handle)->info; }
static void rogue_cancel(void* handle, uint64_t request) { (void)handle, (void)request; }

static grpo_status rogue_generate(void* handle, const grpo_call* call, const grpo_feed* feed) {
  const rogue* self = handle;
#define HOW(name) (strcmp(self->how, name) == 0)
  for (;;) {
    const grpo_request* request;
    const grpo_status status = HOW("early") ? GRPO_STATUS_END : feed->next(feed, call, 1000000, &request);
    if (status == GRPO_STATUS_END) return GRPO_STATUS_OK;
    if (status == GRPO_STATUS_AGAIN) continue;
    if (status) return status;
    const int64_t n_samples = request->n_samples;
    const uint64_t id = request->id;
    for (int64_t i = 0; i < n_samples - HOW("missing"); ++i) {
      const int32_t ids[] = {1, HOW("id") ? -7 : 2, 3};
      const float logprob[] = {-1, HOW("nan") ? NAN : -2, -3};
      const grpo_completion completion = {.struct_size = sizeof completion,
                                          .request = id + HOW("stranger"),
                                          .index = HOW("twice")   ? 0
                                                   : HOW("index") ? n_samples
                                                                  : i,
                                          .n = HOW("long") ? 3 : 2,
                                          .ids = ids,
                                          .finish = HOW("finish") ? 9 : GRPO_FINISH_STOP,
                                          .logprob_kind = GRPO_LOGPROB_RAW,
                                          .logprob = HOW("silent") ? NULL : logprob};
      const grpo_status delivered = feed->deliver(feed, call, &completion);
      if (delivered) return delivered;
    }
  }
}

static const grpo_sampler table = {.struct_size = sizeof(grpo_sampler),
                                   .open = rogue_open,
                                   .close = rogue_close,
                                   .describe = rogue_describe,
                                   .generate = rogue_generate,
                                   .cancel = rogue_cancel};
GRPO_PLUGIN_ONE(GRPO_SAMPLER_ID, "rogue", &table);
