/* A trainer, step by step, over a model that is a plugin. */
#include "check.h"

static const char config[] =
    "run: {output_dir: out, max_steps: 3, seed: 5}\n"
    "data: {path: data.jsonl, raw_prompt: true}\n"
    "model: {plugin: fake}\n"
    "sampler: {max_new_tokens: 5}\n"
    "rewards: [{plugin: length, options: {form: short, minimum: 1, maximum: 5}}]\n"
    "algorithm: {group_size: 3, prompts_per_step: 2}\n"
    "optimizer: {learning_rate: 0.01}\n"
    "checkpoint: {final: false}\n";

typedef struct seen {
  int steps;
  int64_t last, end_after;
} seen;

static int32_t on_step(void* user, int64_t step, const char* metrics) {
  seen* s = user;
  ++s->steps;
  s->last = step;
  CHECK(strstr(metrics, "\"loss\":") != NULL);
  return step == s->end_after;
}

static void write_data(const char* scratch, const char* name, int with_answers) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", scratch, name);
  FILE* file = fopen(path, "w");
  if (!file) {
    perror(path);
    exit(1);
  }
  for (int i = 0; i < 8; ++i) {
    fprintf(file, "{\"prompt\": \"%d+1=\", \"answer\": \"", i);
    if (with_answers) fprintf(file, "%d", i + 1);
    fprintf(file, "\"}\n");
  }
  fclose(file);
}

/* What a step prints under this name; the caller knows it is there. */
static double metric(const grpo_embed_text* json, const char* name) {
  const char* at = strstr(json->data, name);
  CHECK(at != NULL);
  return at ? atof(at + strlen(name)) : 0;
}

static void test_run(grpo_embed_trainer_wanted wanted, double* losses) {
  seen s = {0, 0, 0};
  wanted.user = &s;
  wanted.on_step = on_step;
  grpo_embed_trainer* trainer;
  grpo_embed_trainer* second;
  grpo_embed_text json = {0};
  NEED(grpo_embed_trainer_open(&wanted, &trainer, &error));
  FAILS(grpo_embed_trainer_open(&wanted, &second, &error), GRPO_STATUS_FAILED, "open in this process already");
  NEED(grpo_embed_trainer_describe(trainer, &json, &error));
  CHECK(strstr(json.data, "\"step\":0") && strstr(json.data, "\"checkpoint\":null") &&
        strstr(json.data, "max_steps: 3"));
  grpo_embed_free(json.owner);
  for (int step = 1; step <= 3; ++step) {
    NEED(grpo_embed_trainer_step(trainer, &json, &error));
    CHECK(s.steps == step && s.last == step);
    CHECK((int)metric(&json, "\"step\":") == step);
    losses[step - 1] = metric(&json, "\"loss\":");
    grpo_embed_free(json.owner);
    if (step != 2) continue;
    NEED(grpo_embed_trainer_save(trainer, &json, &error));
    CHECK(strstr(json.data, "checkpoint-2") != NULL);
    grpo_embed_free(json.owner);
  }
  CHECK(grpo_embed_trainer_step(trainer, &json, &error) == GRPO_STATUS_END && json.owner == NULL && s.steps == 3);
  NEED(grpo_embed_trainer_save(trainer, NULL, &error)); /* the last step's, which the configuration does not write */
  NEED(grpo_embed_trainer_describe(trainer, &json, &error));
  CHECK(strstr(json.data, "\"ended\":true") && strstr(json.data, "checkpoint-3"));
  grpo_embed_free(json.owner);
  grpo_embed_trainer_close(trainer);
}

/* From the checkpoint of step 2 the third step is what it was. */
static void test_resume(grpo_embed_trainer_wanted wanted, const char* scratch, const double* losses) {
  char command[2048];
  snprintf(command, sizeof command, "rm -r '%s/out/checkpoint-3'", scratch);
  CHECK(system(command) == 0);
  const char* overrides[3] = {wanted.overrides[0], "run.resume=must", NULL};
  wanted.overrides = overrides;
  wanted.n_overrides = 2;
  grpo_embed_trainer* trainer;
  grpo_embed_text json = {0};
  NEED(grpo_embed_trainer_open(&wanted, &trainer, &error));
  NEED(grpo_embed_trainer_step(trainer, &json, &error));
  CHECK((int)metric(&json, "\"step\":") == 3 && metric(&json, "\"loss\":") == losses[2]);
  grpo_embed_free(json.owner);
  grpo_embed_trainer_close(trainer);
}

static void test_early_end(grpo_embed_trainer_wanted wanted) {
  seen s = {0, 0, 1};
  grpo_embed_trainer* trainer;
  wanted.user = &s;
  wanted.on_step = on_step;
  NEED(grpo_embed_trainer_open(&wanted, &trainer, &error));
  NEED(grpo_embed_trainer_step(trainer, NULL, &error));
  CHECK(grpo_embed_trainer_step(trainer, NULL, &error) == GRPO_STATUS_END); /* the callback said so */
  grpo_embed_trainer_close(trainer);
  NEED(grpo_embed_trainer_open(&wanted, &trainer, &error));
  grpo_embed_trainer_close(trainer); /* without a step */
}

static void test_mistakes(grpo_embed_trainer_wanted wanted) {
  grpo_embed_trainer* trainer;
  wanted.config_text = "run: {max_step: 3}\n";
  FAILS(grpo_embed_trainer_open(&wanted, &trainer, &error), GRPO_STATUS_FAILED, "max_steps");
  wanted.config_text = config;
  wanted.stage = "dpo";
  FAILS(grpo_embed_trainer_open(&wanted, &trainer, &error), GRPO_STATUS_INVALID, "train and sft");
  wanted.stage = "train";
  wanted.n_places = 0;
  FAILS(grpo_embed_trainer_open(&wanted, &trainer, &error), GRPO_STATUS_FAILED, "fake");
  wanted.config_path = "run.yaml";
  FAILS(grpo_embed_trainer_open(&wanted, &trainer, &error), GRPO_STATUS_INVALID, "both given");
}

/* A run that ends in a step: no reward applies to a record without an answer. */
static void test_failing_run(grpo_embed_trainer_wanted wanted) {
  char data[1100], directory[1100];
  snprintf(data, sizeof data, "data.path=%s/none.jsonl", wanted.config_base);
  snprintf(directory, sizeof directory, "run.output_dir=%s/failing", wanted.config_base);
  const char* overrides[] = {wanted.overrides[0], "rewards=[math]", data, directory};
  grpo_embed_trainer* trainer;
  wanted.overrides = overrides;
  wanted.n_overrides = 4;
  NEED(grpo_embed_trainer_open(&wanted, &trainer, &error));
  FAILS(grpo_embed_trainer_step(trainer, NULL, &error), GRPO_STATUS_FAILED, "no completion got a reward");
  FAILS(grpo_embed_trainer_step(trainer, NULL, &error), GRPO_STATUS_FAILED, "has failed before");
  FAILS(grpo_embed_trainer_save(trainer, NULL, &error), GRPO_STATUS_FAILED, "run.resume: auto");
  grpo_embed_trainer_close(trainer);
}

static void test_supervised(grpo_embed_trainer_wanted wanted) {
  char directory[1100];
  snprintf(directory, sizeof directory, "run.output_dir=%s/sft", wanted.config_base);
  const char* all[] = {wanted.overrides[0], directory, "sft.completion_key=answer", "sft.max_steps=1"};
  grpo_embed_trainer* trainer;
  wanted.stage = "sft";
  wanted.overrides = all;
  wanted.n_overrides = 4;
  NEED(grpo_embed_trainer_open(&wanted, &trainer, &error));
  NEED(grpo_embed_trainer_step(trainer, NULL, &error));
  CHECK(grpo_embed_trainer_step(trainer, NULL, &error) == GRPO_STATUS_END);
  grpo_embed_trainer_close(trainer);
}

void test_trainer(const char* plugins, const char* fake_model, const char* model, const char* scratch) {
  const char* const places[] = {plugins, fake_model};
  char path[1100];
  const char* overrides[] = {path};
  double losses[3] = {0, 0, 0};
  snprintf(path, sizeof path, "model.path=%s", model);
  write_data(scratch, "data.jsonl", 1);
  write_data(scratch, "none.jsonl", 0);
  grpo_embed_trainer_wanted wanted = {0};
  wanted.struct_size = sizeof wanted;
  wanted.config_text = config;
  wanted.config_base = scratch;
  wanted.overrides = overrides;
  wanted.n_overrides = 1;
  wanted.places = places;
  wanted.n_places = 2;
  test_mistakes(wanted);
  test_run(wanted, losses);
  test_resume(wanted, scratch, losses);
  test_early_end(wanted);
  test_failing_run(wanted);
  test_supervised(wanted);
}
