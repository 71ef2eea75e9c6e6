/* brevity: 1 for a completion of at most `words` words, a little less for every word beyond, never under 0. */
#include <grpo/reward.h>
#include <stdlib.h>

GRPO_MANIFEST({
  "name": "brevity", "version": "1.0.0", "licence": "MIT",
  "components": [{"interface": "grpo.reward/1", "name": "brevity", "options": {
    "words": {"type": "integer", "default": 20, "minimum": 1, "description": "this many words cost nothing"},
    "slope": {"type": "number", "default": 0.05, "minimum": 0, "description": "what each further word costs"}}}]
});

typedef struct {
  double words, slope;
} brevity;

static grpo_status brevity_open(const grpo_call* call, const grpo_options* options, void** handle) {
  brevity* self = malloc(sizeof *self);
  if (!self) return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "no memory");
  self->words = grpo_option_number(options, "words", 20);
  self->slope = grpo_option_number(options, "slope", 0.05);
  *handle = self;
  return GRPO_STATUS_OK;
}

static void brevity_close(void* handle) { free(handle); }

static double count_words(grpo_str text) {
  double words = 0;
  int inside = 0;
  for (int64_t i = 0; i < text.size; ++i) {
    const int space = text.data[i] == ' ' || text.data[i] == '\n' || text.data[i] == '\t';
    if (!space && !inside) words += 1;
    inside = !space;
  }
  return words;
}

static grpo_status brevity_score(void* handle, const grpo_call* call, const grpo_reward_batch* batch,
                                 const grpo_reward_result* result) {
  const brevity* self = handle;
  double* words = result->component(result, "words");
  for (int64_t i = 0; i < batch->n_samples; ++i) {
    if (call->cancelled(call)) return GRPO_STATUS_CANCELLED;
    const double n = count_words(batch->completion[i]);
    const double cost = n > self->words ? (n - self->words) * self->slope : 0;
    if (words) words[i] = n;
    result->score[i] = cost < 1 ? 1 - cost : 0;
  }
  return GRPO_STATUS_OK;
}

static const grpo_reward table = {.struct_size = sizeof(grpo_reward),
                                  .flags = GRPO_REWARD_CONCURRENT,
                                  .open = brevity_open,
                                  .close = brevity_close,
                                  .score = brevity_score};
GRPO_PLUGIN_ONE(GRPO_REWARD_ID, "brevity", &table);
