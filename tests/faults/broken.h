/* broken.h: the sound part of a broken plugin: a reward that scores 1. */
#ifndef GRPO_TESTS_BROKEN_H
#define GRPO_TESTS_BROKEN_H

#include <grpo/reward.h>

static grpo_status broken_open(const grpo_call* call, const grpo_options* options, void** handle) {
  (void)call, (void)options;
  *handle = NULL;
  return GRPO_STATUS_OK;
}
static void broken_close(void* handle) { (void)handle; }
static grpo_status broken_score(void* handle, const grpo_call* call, const grpo_reward_batch* batch,
                                const grpo_reward_result* result) {
  (void)handle, (void)call;
  for (int64_t i = 0; i < batch->n_samples; ++i) result->score[i] = 1;
  return GRPO_STATUS_OK;
}
static const grpo_reward broken_table = {
    .struct_size = sizeof(grpo_reward), .open = broken_open, .close = broken_close, .score = broken_score};

/* A manifest for one reward of this name. */
#define BROKEN_MANIFEST(name) \
  GRPO_MANIFEST({"name": name, "version": "1.0.0", "licence": "MIT", "components": [{"interface": "grpo.reward/1", "name": name}]})

#endif
