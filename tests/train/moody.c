/* Rewards that do what the completion says: "na", "error", "nan", "slow" (until cancelled), "deaf" (2 s, cancelled or
 * not), "fail" (the whole call); any other is scored by its length. `whole` sees the batch at once and scores
 * everything with its number of samples; `stuck` never returns. The options of `moody` are only looked at from outside.
 */
#include <grpo/reward.h>
#include <string.h>
#include <unistd.h>

GRPO_MANIFEST({
  "name": "moody", "version": "1.0.0", "licence": "MIT",
  "components": [{"interface": "grpo.reward/1", "name": "moody", "options": {
                    "file": {"type": "string", "format": "path"}, "files": {"type": "list", "format": "path"},
                    "text": {"type": "string"}}},
                 {"interface": "grpo.reward/1", "name": "whole"},
                 {"interface": "grpo.reward/1", "name": "stuck"}]
});

static grpo_status moody_open(const grpo_call* call, const grpo_options* options, void** handle) {
  static int something;
  (void)call, (void)options;
  *handle = &something;
  return GRPO_STATUS_OK;
}
static void moody_close(void* handle) { (void)handle; }

static grpo_status moody_score(void* handle, const grpo_call* call, const grpo_reward_batch* b,
                               const grpo_reward_result* r) {
  (void)handle;
  double* mean = r->component(r, "mean"); /* a name that the host has too */
  for (int64_t i = 0; i < b->n_samples; ++i) {
    const char* text = b->completion[i].data;
    if (!strcmp(text, "fail")) return grpo_fail(call, GRPO_STATUS_FAILED, "the whole call failed");
    if (mean) mean[i] = 7;
    if (!strcmp(text, "na")) {
      r->status[i] = GRPO_SAMPLE_NOT_APPLICABLE;
    } else if (!strcmp(text, "error")) {
      r->status[i] = GRPO_SAMPLE_ERROR;
      r->message[i] = (grpo_str){"a bad sample", 12};
    } else if (!strcmp(text, "deaf")) {
      sleep(2); /* and asks nobody */
      r->score[i] = 0;
    } else if (!strcmp(text, "slow")) {
      while (!call->cancelled(call)) {
      }
      return GRPO_STATUS_DEADLINE;
    } else if (strcmp(text, "nan")) {
      r->score[i] = (double)b->completion[i].size;
    }
  }
  return GRPO_STATUS_OK;
}

static grpo_status whole_score(void* handle, const grpo_call* call, const grpo_reward_batch* b,
                               const grpo_reward_result* r) {
  (void)handle, (void)call;
  for (int64_t i = 0; i < b->n_samples; ++i) r->score[i] = (double)b->n_samples;
  return GRPO_STATUS_OK;
}

static grpo_status stuck_score(void* handle, const grpo_call* call, const grpo_reward_batch* b,
                               const grpo_reward_result* r) {
  (void)handle, (void)call, (void)b, (void)r;
  while (r) pause();
  return GRPO_STATUS_OK;
}

static const grpo_reward moody_table = {
    .struct_size = sizeof(grpo_reward), .open = moody_open, .close = moody_close, .score = moody_score};
static const grpo_reward whole_table = {.struct_size = sizeof(grpo_reward),
                                        .flags = GRPO_REWARD_WHOLE_BATCH,
                                        .open = moody_open,
                                        .close = moody_close,
                                        .score = whole_score};
static const grpo_reward stuck_table = {
    .struct_size = sizeof(grpo_reward), .open = moody_open, .close = moody_close, .score = stuck_score};
static const grpo_component moody_component = {sizeof(grpo_component), 0, GRPO_REWARD_ID, "moody", &moody_table};
static const grpo_component whole_component = {sizeof(grpo_component), 0, GRPO_REWARD_ID, "whole", &whole_table};
static const grpo_component stuck_component = {sizeof(grpo_component), 0, GRPO_REWARD_ID, "stuck", &stuck_table};
static const grpo_component* const components[] = {&moody_component, &whole_component, &stuck_component};
GRPO_PLUGIN(components);
