/* Advantages, and objectives whose gradient is that of central differences. */
#include <math.h>

#include "check.h"

static void test_advantages(void) {
  const int64_t start[] = {0, 4, 6};
  double values[] = {1, 0, 0, NAN, 2, 2};
  grpo_embed_text statistics = {0};
  NEED(grpo_embed_advantages("group", 6, values, 2, start, 0, values, &statistics, &error));
  CHECK(fabs(values[0] - 2 / sqrt(3)) < 1e-12 && fabs(values[1] + 1 / sqrt(3)) < 1e-12 && values[3] == 0);
  CHECK(values[4] == 0 && values[5] == 0);
  CHECK(strstr(statistics.data, "\"zero_std_groups\":1") && strstr(statistics.data, "\"not_applicable\":1"));
  grpo_embed_free(statistics.owner);
  static const char* const kinds[] = {"none",
                                      "batch",
                                      "rloo",
                                      "opo",
                                      "passk",
                                      "reinforce_pp",
                                      "reinforce_pp_baseline",
                                      "dr_grpo",
                                      "gpg",
                                      "grpo_passk",
                                      "reinforce_plus_plus"};
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; ++k) {
    double made[6] = {1, 0, 0.5, NAN, 2, -1};
    NEED(grpo_embed_advantages(kinds[k], 6, made, 2, start, 1e-4, made, NULL, &error));
    CHECK(made[0] > 0 && made[1] <= 0 && made[3] == 0 && made[4] > 0);
  }
  FAILS(grpo_embed_advantages("gdpo", 6, values, 2, start, 0, values, NULL, &error), GRPO_STATUS_FAILED, "gdpo");
  FAILS(grpo_embed_advantages("best", 6, values, 2, start, 0, values, NULL, &error), GRPO_STATUS_FAILED, "group");
  FAILS(grpo_embed_advantages("group", 6, values, 1, start, 0, values, NULL, &error), GRPO_STATUS_FAILED,
        "group_start");
}

enum { tokens_given = 5 };

static double loss_at(const grpo_embed_objective* objective, grpo_embed_tokens* tokens, double* gradient) {
  double loss = NAN;
  grpo_embed_gradient to = {0};
  to.struct_size = sizeof to;
  to.loss = &loss;
  to.logprob = gradient;
  NEED(grpo_embed_objective_evaluate(objective, tokens, &to, &error));
  return loss;
}

static void test_objective(const char* options) {
  static const int64_t start[] = {0, 3, 5};
  static const double old[] = {-1.0, -0.4, -2.0, -0.7, -1.1}, reference[] = {-1.2, -0.5, -1.5, -0.9, -1.0};
  static const double advantage[] = {1.5, -0.5};
  static const uint8_t mask[] = {1, 1, 0, 1, 1};
  double logprob[] = {-0.95, -0.45, -2.2, -0.65, -1.15}, gradient[tokens_given];
  grpo_embed_objective* objective;
  grpo_embed_tokens tokens = {0};
  tokens.struct_size = sizeof tokens;
  tokens.flags = GRPO_EMBED_DOUBLE;
  tokens.n_rows = 2;
  tokens.start = start;
  tokens.logprob = logprob;
  tokens.old_logprob = old;
  tokens.reference_logprob = reference;
  tokens.mask = mask;
  tokens.advantage = advantage;
  tokens.max_completion_length = 8;
  NEED(grpo_embed_objective_open(options, &objective, &error));
  loss_at(objective, &tokens, gradient);
  CHECK(gradient[2] == 0); /* outside the mask */
  for (int i = 0; i < tokens_given; ++i) {
    const double middle = logprob[i], h = 1e-6;
    logprob[i] = middle + h;
    const double above = loss_at(objective, &tokens, NULL);
    logprob[i] = middle - h;
    const double below = loss_at(objective, &tokens, NULL);
    logprob[i] = middle;
    CHECK(fabs((above - below) / (2 * h) - gradient[i]) < 1e-7);
  }
  grpo_embed_objective_close(objective);
}

static void test_single_precision(void) {
  const int64_t start[] = {0, 2};
  const float logprob[] = {-1, -2};
  const double advantage[] = {1};
  float gradient[2] = {9, 9};
  double loss = 9;
  grpo_embed_text metrics = {0};
  grpo_embed_objective* objective;
  grpo_embed_tokens tokens = {0};
  grpo_embed_gradient to = {0};
  tokens.struct_size = sizeof tokens;
  tokens.n_rows = 1;
  tokens.start = start;
  tokens.logprob = logprob;
  tokens.advantage = advantage;
  to.struct_size = sizeof to;
  to.loss = &loss;
  to.logprob = gradient;
  to.metrics = &metrics;
  NEED(grpo_embed_objective_open(NULL, &objective, &error));
  NEED(grpo_embed_objective_evaluate(objective, &tokens, &to, &error));
  CHECK(loss == -1 && gradient[0] == -0.5f && gradient[1] == -0.5f && strstr(metrics.data, "\"policy_loss\":-1"));
  grpo_embed_free(metrics.owner);
  tokens.total_tokens = 8; /* a part of a larger step */
  to.metrics = NULL;
  NEED(grpo_embed_objective_evaluate(objective, &tokens, &to, &error));
  CHECK(loss == -0.25 && gradient[0] == -0.125f);
  tokens.advantage = NULL;
  FAILS(grpo_embed_objective_evaluate(objective, &tokens, &to, &error), GRPO_STATUS_INVALID, "both NULL");
  tokens.struct_size = 8;
  FAILS(grpo_embed_objective_evaluate(objective, &tokens, &to, &error), GRPO_STATUS_INVALID,
        "set struct_size = sizeof(grpo_embed_tokens)");
  grpo_embed_objective_close(objective);
}

/* A caller with headers of a later revision: what it leaves 0 is nothing new, what it sets is refused. */
static void test_later_revision(void) {
  struct {
    grpo_embed_gradient known;
    int64_t appended;
  } later = {{0}, 0};
  const int64_t start[] = {0, 1};
  const float logprob[] = {-1};
  const double advantage[] = {1};
  double loss = 0;
  grpo_embed_objective* objective;
  grpo_embed_tokens tokens = {0};
  tokens.struct_size = sizeof tokens;
  tokens.n_rows = 1;
  tokens.start = start;
  tokens.logprob = logprob;
  tokens.advantage = advantage;
  later.known.struct_size = sizeof later;
  later.known.loss = &loss;
  NEED(grpo_embed_objective_open("{}", &objective, &error));
  NEED(grpo_embed_objective_evaluate(objective, &tokens, &later.known, &error));
  CHECK(loss == -1);
  later.appended = 1;
  FAILS(grpo_embed_objective_evaluate(objective, &tokens, &later.known, &error), GRPO_STATUS_UNSUPPORTED,
        "use a newer libgrpo.so");
  grpo_embed_objective_close(objective);
}

static void test_options(void) {
  grpo_embed_objective* objective;
  grpo_embed_text json = {0};
  FAILS(grpo_embed_objective_open("{\"clip_hig\": 0.3}", &objective, &error), GRPO_STATUS_FAILED, "clip_high");
  FAILS(grpo_embed_objective_open("{\"objective\": \"best\"}", &objective, &error), GRPO_STATUS_FAILED, "dapo");
  FAILS(grpo_embed_objective_open("{\"top_entropy_quantile\": 0.2}", &objective, &error), GRPO_STATUS_INVALID,
        "tokens.policy_weight");
  FAILS(grpo_embed_objective_open("[]", &objective, &error), GRPO_STATUS_INVALID, "not a JSON object");
  FAILS(grpo_embed_objective_open("{\"ratio\": \"word\"}", &objective, &error), GRPO_STATUS_FAILED, "sequence");
  NEED(grpo_embed_objective_row("{\"per_token_logps\": [[-1.0, -2.0]], \"advantages\": [1.0]}", &json, &error));
  CHECK(strstr(json.data, "\"dlogp\":[[-0.5,-0.5]]") != NULL && strstr(json.data, "advantages") == NULL);
  grpo_embed_free(json.owner);
  NEED(grpo_embed_objective_row(
      "{\"logp\": [[-1], [-1]], \"rewards_per_func\": [[1, 0], [0, 2]], \"num_generations\": 2,"
      " \"scale_rewards\": \"gdpo\", \"reward_weights\": [3, 1], \"advantage_epsilon\": 0}",
      &json, &error));
  CHECK(strstr(json.data, "\"advantages\":[0.707106781") != NULL);
  grpo_embed_free(json.owner);
}

void test_algorithm(void) {
  test_advantages();
  test_objective("{\"objective\": \"dapo\", \"clip_high\": 0.28, \"beta\": 0.04}");
  test_objective("{\"objective\": \"grpo\", \"kl_coefficient\": 0.1, \"kl_estimator\": \"k2\"}");
  test_objective("{\"objective\": \"dr_grpo\"}");
  test_objective("{\"loss_type\": \"gspo\", \"epsilon\": 0.2}");
  test_objective("{\"objective\": \"gmpo\", \"kl_coefficient\": 0.1, \"kl_estimator\": \"abs\"}");
  test_objective(
      "{\"loss_mode\": \"kl_cov\", \"kl_cov_ratio\": 0.5, \"ppo_kl_coef\": 0.3, \"loss_agg_mode\": \"token-sum\"}");
  test_objective("{\"objective\": \"sapo\", \"sapo_temperature_negative\": 1.2, \"aggregation\": \"token_mean\"}");
  test_single_precision();
  test_later_revision();
  test_options();
}
