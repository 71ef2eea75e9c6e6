/* boxed: 1 for the right answer in \boxed{}, `wrong` for another one, `missing` for none. */
#include <grpo/reward.h>
#include <stdlib.h>
#include <string.h>

GRPO_MANIFEST({
  "name": "fake_reward", "version": "1.0.0", "licence": "MIT",
  "components": [{"interface": "grpo.reward/1", "name": "boxed", "options": {
    "wrong": {"type": "number", "default": -0.5, "maximum": 0}, "missing": {"type": "number", "default": -1}}}]
});

typedef struct {
  double wrong, missing;
} boxed;

static grpo_status boxed_open(const grpo_call* call, const grpo_options* options, void** handle) {
  boxed* self = malloc(sizeof *self);
  if (!self) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "boxed: no memory");
  self->wrong = grpo_option_number(options, "wrong", -0.5);
  self->missing = grpo_option_number(options, "missing", -1);
  *handle = self;
  return GRPO_STATUS_OK;
}

static void boxed_close(void* handle) { free(handle); }

/* The text in the last \boxed{}, or NULL. */
static const char* last_boxed(const char* text, int64_t* size) {
  const char* found = NULL;
  while ((text = strstr(text, "\\boxed{"))) found = text += 7;
  if (found) *size = (int64_t)strcspn(found, "}");
  return found;
}

static grpo_status boxed_score(void* handle, const grpo_call* call, const grpo_reward_batch* b,
                               const grpo_reward_result* r) {
  const boxed* self = handle;
  double* format = r->component(r, "format");
  for (int64_t i = 0; i < b->n_samples; ++i) {
    if (call->cancelled(call)) return GRPO_STATUS_CANCELLED;
    grpo_str truth = b->ground_truth[b->row[i]];
    if (!truth.size) {
      r->status[i] = GRPO_SAMPLE_NOT_APPLICABLE;
      continue;
    }
    int64_t size = 0;
    const char* answer = last_boxed(b->completion[i].data, &size);
    if (format) format[i] = answer != NULL;
    r->score[i] = !answer                                                           ? self->missing
                  : size == truth.size && !memcmp(answer, truth.data, (size_t)size) ? 1
                                                                                    : self->wrong;
  }
  return GRPO_STATUS_OK;
}

static const grpo_reward table = {.struct_size = sizeof(grpo_reward),
                                  .flags = GRPO_REWARD_CONCURRENT,
                                  .open = boxed_open,
                                  .close = boxed_close,
                                  .score = boxed_score};
GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "boxed", &table);
