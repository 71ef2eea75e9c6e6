/* Plugins and rewards. */
#include <math.h>
#include <pthread.h>

#include "check.h"

static void test_listing(grpo_embed_plugins* plugins) {
  grpo_embed_text json = {0};
  NEED(grpo_embed_plugins_list(plugins, &json, &error));
  CHECK(strstr(json.data, "\"name\":\"math\"") && strstr(json.data, "\"kind\":\"reward\"") &&
        strstr(json.data, "\"refused\":["));
  grpo_embed_free(json.owner);
}

static grpo_embed_reward* opened(grpo_embed_plugins* plugins, const char* name, const char* options) {
  grpo_embed_reward* reward = NULL;
  grpo_embed_reward_wanted wanted = {0};
  wanted.struct_size = sizeof wanted;
  wanted.name = name;
  wanted.options = options;
  NEED(grpo_embed_reward_open(plugins, &wanted, &reward, &error));
  return reward;
}

static void test_refusals(grpo_embed_plugins* plugins) {
  grpo_embed_reward* reward;
  grpo_embed_reward_wanted wanted = {0};
  FAILS(grpo_embed_reward_open(plugins, &wanted, &reward, &error), GRPO_STATUS_INVALID, "struct_size is 0");
  wanted.struct_size = sizeof wanted;
  wanted.name = "maths";
  FAILS(grpo_embed_reward_open(plugins, &wanted, &reward, &error), GRPO_STATUS_FAILED, "math");
  wanted.name = "math";
  wanted.options = "{\"wrong\": \"x\"}";
  FAILS(grpo_embed_reward_open(plugins, &wanted, &reward, &error), GRPO_STATUS_FAILED, "math.options.wrong");
  wanted.options = "{\"wong\": 1}";
  FAILS(grpo_embed_reward_open(plugins, &wanted, &reward, &error), GRPO_STATUS_FAILED, "wrong");
  CHECK(reward == NULL);
}

/* Two prompts, two completions each; every array that a batch can have. */
static void test_math(grpo_embed_plugins* plugins) {
  grpo_embed_reward* math = opened(plugins, "math", "{\"wrong\": -0.5, \"missing\": -1}");
  char prompt_data[32], truth_data[32], completion_data[128], label_data[32], nested_data[32];
  int64_t prompt_start[3], truth_start[3], completion_start[5], label_start[3], nested_start[3];
  const char* const prompts[] = {"1+1=", "2+2="};
  const char* const truths[] = {"2", ""};
  const char* const said[] = {"\\boxed{2}", "\\boxed{3}", "no idea", "\\boxed{4}"};
  const char* const labels[] = {"a", "b"};
  const char* const nested[] = {"{\"k\": [1]}", ""};
  const grpo_embed_texts prompt = texts_of(2, prompts, prompt_data, prompt_start),
                         truth = texts_of(2, truths, truth_data, truth_start),
                         completion = texts_of(4, said, completion_data, completion_start),
                         label = texts_of(2, labels, label_data, label_start),
                         json = texts_of(2, nested, nested_data, nested_start);
  const int64_t level[] = {3, 4}, ids_start[] = {0, 1, 2, 3, 3}, row[] = {0, 0, 0, 1}, index[] = {0, 1, 2, 0};
  const double weight[] = {0.5, NAN};
  const int32_t id[] = {5, 6, 7}, finish[] = {GRPO_FINISH_STOP, GRPO_FINISH_STOP, GRPO_FINISH_LENGTH, GRPO_FINISH_STOP};
  const grpo_embed_ids completion_ids = {4, id, ids_start, NULL};
  grpo_embed_column column[4] = {{0}};
  const grpo_embed_column* columns[4];
  for (int i = 0; i < 4; ++i) column[i].struct_size = sizeof column[i], columns[i] = &column[i];
  column[0].name = "label", column[0].type = GRPO_COLUMN_TEXT, column[0].text = &label;
  column[1].name = "nested", column[1].type = GRPO_COLUMN_JSON, column[1].text = &json;
  column[2].name = "level", column[2].type = GRPO_COLUMN_INTEGER, column[2].integer = level;
  column[3].name = "weight", column[3].type = GRPO_COLUMN_NUMBER, column[3].number = weight;

  grpo_embed_batch batch = {0};
  batch.struct_size = sizeof batch;
  batch.n_rows = 2;
  batch.n_samples = 4;
  batch.completion = &completion;
  batch.prompt = &prompt;
  batch.ground_truth = &truth;
  batch.completion_ids = &completion_ids;
  batch.row = row;
  batch.index = index;
  batch.finish = finish;
  batch.n_columns = 4;
  batch.columns = columns;
  batch.step = 1;

  double score[4] = {9, 9, 9, 9};
  int32_t status[4];
  grpo_embed_texts message = {0};
  grpo_embed_components components = {0};
  grpo_embed_scores scores = {0};
  scores.struct_size = sizeof scores;
  scores.score = score;
  scores.status = status;
  scores.message = &message;
  scores.components = &components;
  NEED(grpo_embed_reward_score(math, &batch, &scores, &error));
  CHECK(score[0] == 1 && score[1] == -0.5 && score[2] == -1 && isnan(score[3]));
  CHECK(status[2] == GRPO_SAMPLE_OK && status[3] == GRPO_SAMPLE_NOT_APPLICABLE);
  CHECK(components.n == 2 && !strcmp(components.name[0], "accuracy") && components.value[0][0] == 1);
  CHECK(isnan(components.value[0][3]));
  grpo_embed_free(message.owner);
  grpo_embed_free(components.owner);

  /* What may be left out: everything but completions and scores. Two samples a row, in order. */
  scores.status = NULL, scores.message = NULL, scores.components = NULL;
  batch.prompt = NULL, batch.completion_ids = NULL, batch.row = NULL, batch.index = NULL, batch.finish = NULL;
  batch.n_columns = 0, batch.columns = NULL;
  NEED(grpo_embed_reward_score(math, &batch, &scores, &error));
  CHECK(score[0] == 1 && score[1] == -0.5 && isnan(score[2]));
  batch.n_rows = 0;
  FAILS(grpo_embed_reward_score(math, &batch, &scores, &error), GRPO_STATUS_INVALID, "ground_truth has 2 elements");
  batch.ground_truth = NULL;
  FAILS(grpo_embed_reward_score(math, &batch, &scores, &error), GRPO_STATUS_INVALID, "set row");
  batch.n_rows = 2;
  const int64_t beyond[] = {0, 0, 2, 1};
  batch.row = beyond;
  FAILS(grpo_embed_reward_score(math, &batch, &scores, &error), GRPO_STATUS_INVALID, "batch.row[2] is 2");
  batch.row = NULL;
  column[1].text = &label;
  batch.n_columns = 2, batch.columns = columns;
  FAILS(grpo_embed_reward_score(math, &batch, &scores, &error), GRPO_STATUS_INVALID, "\"nested\", row 0, is not JSON");
  CHECK(score[0] == 1); /* a failure writes nothing */
  batch.n_rows = batch.n_samples = 0;
  const grpo_embed_texts none = {0, NULL, ids_start, NULL};
  batch.completion = &none, batch.n_columns = 0;
  NEED(grpo_embed_reward_score(math, &batch, &scores, &error));

  grpo_embed_text described = {0};
  NEED(grpo_embed_reward_describe(math, &described, &error));
  CHECK(strstr(described.data, "\"wrong\":-0.5") && strstr(described.data, "\"concurrent\":true"));
  grpo_embed_free(described.owner);
  grpo_embed_reward_close(math);
}

/* n completions, one a row, and where what a reward says of each goes: [n]. */
typedef struct call {
  grpo_embed_batch batch;
  grpo_embed_scores scores;
} call;

static call call_of(const grpo_embed_texts* completion, int64_t n, double* score, int32_t* status,
                    grpo_embed_texts* message) {
  call c = {{0}, {0}};
  c.batch.struct_size = sizeof c.batch;
  c.batch.n_rows = c.batch.n_samples = n;
  c.batch.completion = completion;
  c.scores.struct_size = sizeof c.scores;
  c.scores.score = score;
  c.scores.status = status;
  c.scores.message = message;
  return c;
}

/* What a plugin does wrong is told sample by sample, never as a number. */
static void test_bad_plugin(grpo_embed_plugins* plugins) {
  grpo_embed_reward* moody = opened(plugins, "moody", NULL);
  char data[64];
  int64_t start[5];
  const char* const said[] = {"four", "error", "nan", "na"};
  grpo_embed_texts completion = texts_of(4, said, data, start), message = {0};
  double score[4];
  int32_t status[4];
  call c = call_of(&completion, 4, score, status, &message);
  NEED(grpo_embed_reward_score(moody, &c.batch, &c.scores, &error));
  CHECK(score[0] == 4 && isnan(score[1]) && isnan(score[2]) && isnan(score[3]));
  CHECK(status[1] == GRPO_SAMPLE_ERROR && status[2] == GRPO_SAMPLE_ERROR && status[3] == GRPO_SAMPLE_NOT_APPLICABLE);
  CHECK(is_text(&message, 0, "") && is_text(&message, 1, "a bad sample"));
  grpo_embed_free(message.owner);

  const char* const slow[] = {"four", "slow"};
  completion = texts_of(2, slow, data, start);
  c.batch.n_rows = c.batch.n_samples = 2;
  c.batch.timeout_ns = 1000000;
  NEED(grpo_embed_reward_score(moody, &c.batch, &c.scores, &error));
  CHECK(score[0] == 4 && status[1] == GRPO_SAMPLE_TIMEOUT);
  grpo_embed_free(message.owner);
  grpo_embed_reward_close(moody);
}

/* A call that never comes back keeps its thread, not the caller; the next one goes to a process of its own, which is
 * killed. */
static void test_hanging_plugin(grpo_embed_plugins* plugins) {
  grpo_embed_reward* stuck = opened(plugins, "stuck", NULL);
  char data[16];
  int64_t start[3];
  const char* const said[] = {"a", "b"};
  const grpo_embed_texts completion = texts_of(2, said, data, start);
  for (int time = 0; time < 2; ++time) {
    grpo_embed_texts message = {0};
    double score[2] = {9, 9};
    int32_t status[2];
    call c = call_of(&completion, 2, score, status, &message);
    c.batch.timeout_ns = 50000000;
    NEED(grpo_embed_reward_score(stuck, &c.batch, &c.scores, &error));
    for (int i = 0; i < 2; ++i) CHECK(isnan(score[i]) && status[i] == GRPO_SAMPLE_TIMEOUT);
    char text[512] = "";
    const int64_t size = message.start[1];
    CHECK(size > 0 && size < (int64_t)sizeof text);
    memcpy(text, message.data, (size_t)size);
    CHECK((strstr(text, "left behind") != NULL) == (time == 0));
    grpo_embed_free(message.owner);
  }
  grpo_embed_reward_close(stuck);
}

enum { threads = 4, rounds = 50 };

static void* score_often(void* reward) {
  char data[32], text[256];
  int64_t start[2];
  grpo_embed_error own = {text, sizeof text, 0};
  const char* const said[] = {"\\boxed{1}"};
  const grpo_embed_texts completion = texts_of(1, said, data, start);
  const int64_t truth_start[] = {7, 8};
  const grpo_embed_texts truth = {1, data, truth_start, NULL}; /* the 1 of the completion */
  double score = 0;
  int64_t right = 0;
  grpo_embed_batch batch = {0};
  grpo_embed_scores scores = {0};
  batch.struct_size = sizeof batch;
  batch.n_rows = batch.n_samples = 1;
  batch.completion = &completion;
  batch.ground_truth = &truth;
  scores.struct_size = sizeof scores;
  scores.score = &score;
  for (int i = 0; i < rounds; ++i)
    if (grpo_embed_reward_score(reward, &batch, &scores, &own) == GRPO_STATUS_OK && score == 1) ++right;
  return (void*)right;
}

static void test_threads(grpo_embed_plugins* plugins) {
  grpo_embed_reward* math = opened(plugins, "math", NULL);
  pthread_t thread[threads];
  for (int i = 0; i < threads; ++i) CHECK(pthread_create(&thread[i], NULL, score_often, math) == 0);
  for (int i = 0; i < threads; ++i) {
    void* right = NULL;
    CHECK(pthread_join(thread[i], &right) == 0 && (int64_t)right == rounds);
  }
  grpo_embed_reward_close(math);
}

void test_rewards(const char* folder, const char* moody) {
  const char* const places[] = {folder, moody};
  grpo_embed_plugins* plugins;
  const char* const nowhere = "/there/is/no/such/folder";
  FAILS(grpo_embed_plugins_open(&nowhere, 1, &plugins, &error), GRPO_STATUS_FAILED, nowhere);
  NEED(grpo_embed_plugins_open(places, 2, &plugins, &error));
  test_listing(plugins);
  test_refusals(plugins);
  test_math(plugins);
  test_bad_plugin(plugins);
  test_hanging_plugin(plugins);
  grpo_embed_reward* length = opened(plugins, "length", "{\"minimum\": 1, \"maximum\": 5}");
  test_threads(plugins);
  grpo_embed_plugins_close(plugins); /* what was opened stays open */
  grpo_embed_text json = {0};
  NEED(grpo_embed_reward_describe(length, &json, &error));
  grpo_embed_free(json.owner);
  grpo_embed_reward_close(length);
}
