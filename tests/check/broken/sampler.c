/* A sampler that breaks one rule. Completions are 1, 0, where 0 is the stop id. */
#include <grpo/sampler.h>
#include <math.h>
#include <stdlib.h>

#include "how.h"

GRPO_MANIFEST({
  "name": "broken_sampler", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.sampler/1", "name": "broken", "options": {"how": {"type": "string", "default": ""}}},
                 {"interface": "grpo.sampler/1", "name": "binding", "options": {"how": {"type": "string", "default": ""}}}]
});

typedef struct {
  how how;
  grpo_sampler_info info;
  grpo_tensor_sink sink;
  const grpo_feed* feed;
} broken;

static grpo_status put(const grpo_tensor_sink* sink, const grpo_call* call, int64_t n,
                       const grpo_named_tensor* const* tensors) {
  (void)sink, (void)call, (void)n, (void)tensors;
  return GRPO_STATUS_OK;
}

static grpo_status broken_open(const grpo_call* call, const grpo_options* options, void** handle) {
  broken* self = calloc(1, sizeof *self);
  if (!self) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "no memory");
  self->how = how_of(options);
  self->info = (grpo_sampler_info){.struct_size = sizeof self->info,
                                   .flags = GRPO_SAMPLER_UPDATES | GRPO_SAMPLER_BESIDE,
                                   .sampling = GRPO_SAMPLING_MIN_NEW,
                                   .logprob_kind = GRPO_LOGPROB_TEMPERED};
  self->sink = (grpo_tensor_sink){.struct_size = sizeof self->sink, .put = put};
  *handle = self;
  return GRPO_STATUS_OK;
}
static grpo_status binding_open(const grpo_call* call, const grpo_options* options, void** handle) {
  const grpo_status status = broken_open(call, options, handle);
  if (status == GRPO_STATUS_OK) ((broken*)*handle)->info.flags = GRPO_SAMPLER_BINDS;
  return status;
}
static void broken_close(void* handle) { free(handle); }
static const grpo_sampler_info* broken_describe(void* handle) { return &((broken*)handle)->info; }
static grpo_status broken_bind(void* handle, const grpo_call* call, const grpo_sampler_binding* binding) {
  const broken* self = handle;
  (void)call;
  if (HOW("handle.unknown")) binding->model_table->describe(NULL);
  return GRPO_STATUS_OK;
}
static void broken_cancel(void* handle, uint64_t request) { (void)handle, (void)request; }
static void broken_model_changed(void* handle, int64_t version) { (void)handle, (void)version; }

static grpo_status broken_generate(void* handle, const grpo_call* call, const grpo_feed* feed) {
  broken* self = handle;
  const grpo_request* request;
  if (HOW("feed.stale") && self->feed) self->feed->next(self->feed, call, 0, &request);
  if (HOW("feed.arguments")) feed->next(feed, call, -1, &request);
  self->feed = feed;
  for (;;) {
    const grpo_status status = feed->next(feed, call, 1000000, &request);
    if (status == GRPO_STATUS_END) return GRPO_STATUS_OK;
    if (status == GRPO_STATUS_AGAIN) continue;
    if (status) return status;
    const uint64_t id = request->id;
    const int64_t n_samples = request->n_samples;
    for (int64_t i = 0; i < n_samples - HOW("sampler.generate.missing"); ++i) {
      int32_t ids[] = {HOW("sampler.deliver.token") ? -7 : 1, 0, 1};
      const float logprob[] = {-1, HOW("sampler.deliver.logprob") ? NAN : -2, -1};
      const grpo_completion c = {.struct_size = sizeof c,
                                 .request = id + HOW("sampler.deliver.request"),
                                 .index = HOW("sampler.deliver.twice") ? 0 : i,
                                 .n = HOW("sampler.deliver.finish")  ? 3
                                      : HOW("sampler.deliver.limit") ? 1
                                                                     : 2,
                                 .ids = HOW("sampler.deliver.limit") ? ids + 1 : ids,
                                 .finish = HOW("sampler.deliver.cancelled") ? GRPO_FINISH_CANCELLED : GRPO_FINISH_STOP,
                                 .logprob_kind = GRPO_LOGPROB_TEMPERED,
                                 .logprob = logprob,
                                 .version = HOW("sampler.deliver.version") ? 99 : 1};
      const grpo_status delivered = feed->deliver(feed, call, &c);
      if (delivered) return delivered;
    }
  }
}
static grpo_status broken_pause(void* handle, const grpo_call* call, int32_t mode) {
  (void)handle, (void)call, (void)mode;
  return GRPO_STATUS_OK;
}
static grpo_status broken_resume(void* handle, const grpo_call* call) {
  (void)handle, (void)call;
  return GRPO_STATUS_OK;
}
static grpo_status broken_update_begin(void* handle, const grpo_call* call, int64_t version,
                                       const grpo_tensor_sink** sink) {
  broken* self = handle;
  (void)call, (void)version;
  *sink = HOW("sampler.update.sink") ? NULL : &self->sink;
  return GRPO_STATUS_OK;
}
static grpo_status broken_update_end(void* handle, const grpo_call* call, int32_t accept) {
  (void)handle, (void)call, (void)accept;
  return GRPO_STATUS_OK;
}

static const grpo_sampler table = {.struct_size = sizeof table,
                                   .open = broken_open,
                                   .close = broken_close,
                                   .describe = broken_describe,
                                   .generate = broken_generate,
                                   .cancel = broken_cancel,
                                   .pause = broken_pause,
                                   .resume = broken_resume,
                                   .update_begin = broken_update_begin,
                                   .update_end = broken_update_end};
static const grpo_sampler binding = {.struct_size = sizeof binding,
                                     .open = binding_open,
                                     .close = broken_close,
                                     .describe = broken_describe,
                                     .bind = broken_bind,
                                     .generate = broken_generate,
                                     .cancel = broken_cancel,
                                     .model_changed = broken_model_changed};
static const grpo_component components[] = {{sizeof(grpo_component), 0, GRPO_SAMPLER_ID, "broken", &table},
                                            {sizeof(grpo_component), 0, GRPO_SAMPLER_ID, "binding", &binding}};
static const grpo_component* const list[] = {&components[0], &components[1]};
GRPO_PLUGIN(list);
