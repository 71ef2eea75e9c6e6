/* Breaks one rule of the introduction, the one that MISMATCH names. Everything else in it is sound. */
#include <grpo/decode.h>
#include <grpo/reward.h>
#include <grpo/sampler.h>

/* clang-format off */
GRPO_MANIFEST({
  "name": "mismatch", "version": "1.0.0", "licence": "MIT",
  "components": [{"interface": "grpo.reward/1", "name": "mismatch"}, {"interface": "grpo.model/1", "name": "mismatch", "offers": ["grpo.decode/1"]},
                 {"interface": "grpo.sampler/1", "name": "mismatch"}]
});
/* clang-format on */

enum {
  NONE,
  ABI,
  REVISION,
  SIZE,
  HUGE_SIZE,
  NO_LIST,
  NO_NAME,
  SHORT_COMPONENT,
  TWICE,
  SILENT,
  DECODE,
  NO_INFO,
  SMALL_INFO,
  TRAINS,
  BINDS
};

static grpo_status opened(const grpo_call* call, const grpo_options* options, void** handle) {
  return (void)call, (void)options, *handle = NULL, GRPO_STATUS_OK;
}
static void closed(void* handle) { (void)handle; }
static grpo_status scored(void* handle, const grpo_call* call, const grpo_reward_batch* batch,
                          const grpo_reward_result* result) {
  return (void)handle, (void)call, (void)batch, (void)result, GRPO_STATUS_OK;
}
static const grpo_reward reward = {
    .struct_size = sizeof(grpo_reward), .open = opened, .close = closed, .score = scored};

static const grpo_decode decode = {.struct_size = MISMATCH == DECODE ? 40 : sizeof decode};
static const void* asked(void* handle, const char* id) { return (void)handle, (void)id, &decode; }
static const grpo_model_info* described(void* handle) {
  static const grpo_model_info info = {.struct_size = sizeof info,
                                       .flags = MISMATCH == TRAINS ? GRPO_MODEL_TRAIN : 0,
                                       .vocabulary = MISMATCH == SMALL_INFO ? 0 : 8,
                                       .max_positions = 8};
  return (void)handle, MISMATCH == NO_INFO ? NULL : &info;
}
static grpo_status listed(void* handle, const grpo_call* call, int64_t* n, const grpo_parameter* const** list) {
  return (void)handle, (void)n, (void)list, grpo_fail(call, GRPO_STATUS_FAILED, "the device is gone");
}
static grpo_status forwarded(void* handle, const grpo_call* call, const grpo_forward* a) {
  return (void)handle, (void)call, (void)a, GRPO_STATUS_UNSUPPORTED;
}
static const grpo_model model = {.struct_size = sizeof(grpo_model),
                                 .open = opened,
                                 .close = closed,
                                 .query = asked,
                                 .describe = described,
                                 .parameters = listed,
                                 .forward = forwarded};

static const grpo_sampler_info* sampler_described(void* handle) {
  static const grpo_sampler_info info = {.struct_size = sizeof info,
                                         .flags = MISMATCH == BINDS ? GRPO_SAMPLER_BINDS : 0};
  return (void)handle, &info;
}
static grpo_status generated(void* handle, const grpo_call* call, const grpo_feed* feed) {
  return (void)handle, (void)call, (void)feed, GRPO_STATUS_OK;
}
static void stopped(void* handle, uint64_t request) { (void)handle, (void)request; }
static const grpo_sampler sampler = {.struct_size = sizeof(grpo_sampler),
                                     .open = opened,
                                     .close = closed,
                                     .describe = sampler_described,
                                     .generate = generated,
                                     .cancel = stopped};

static const grpo_component first = {.struct_size = MISMATCH == SHORT_COMPONENT ? 8 : sizeof first,
                                     .interface_id = GRPO_REWARD_ID,
                                     .name = MISMATCH == NO_NAME ? NULL : "mismatch",
                                     .table = &reward};
static const grpo_component second = {sizeof second, 0, GRPO_MODEL_ID, "mismatch", &model};
static const grpo_component third = {sizeof third, 0, GRPO_SAMPLER_ID, "mismatch", &sampler};
static const grpo_component* const all[] = {&first, &second, &third, &first};

GRPO_EXPORT const grpo_plugin* grpo_plugin_entry(const grpo_host* host) {
  static const grpo_plugin plugin = {.struct_size = MISMATCH == SIZE        ? 16
                                                    : MISMATCH == HUGE_SIZE ? 1u << 30
                                                                            : sizeof plugin,
                                     .header_revision = MISMATCH == REVISION ? 0 : GRPO_HEADER_REVISION,
                                     .abi = MISMATCH == ABI ? GRPO_ABI + 1 : GRPO_ABI,
                                     .n_components = MISMATCH == TWICE ? 4 : 3,
                                     .components = MISMATCH == NO_LIST ? NULL : all};
  if (MISMATCH == SILENT) return NULL;
  return MISMATCH == ABI ? &plugin : grpo_plugin_answer(host, &plugin);
}
