/* fake_model.h: a tiny language model for tests: the logits are a row of a table, chosen by the last two tokens.
 *
 * It keeps every promise of grpo.model/1 and grpo.decode/1 (forests, tickets, gradients, shared prompts, weight
 * streams) without a compute library, so that hosts and samplers can be tested against exact numbers. What a test needs
 * to go wrong is an option: a small cache, missing sampling options, a step that fails. */
#ifndef GRPO_TEST_FAKE_MODEL_H
#define GRPO_TEST_FAKE_MODEL_H

#include <grpo/decode.h>

enum { VOCABULARY = 64, ROWS = 1024, TICKETS = 2 };

typedef struct { /* what backward needs of one forward */
  uint64_t id;   /* 0: free */
  int64_t n;
  double temperature;
  int32_t *row, *token; /* [n] */
} ticket;

typedef struct {
  float value[ROWS * VOCABULARY], gradient[ROWS * VOCABULARY];
  int64_t shape[2], version;
  grpo_tensor value_tensor, gradient_tensor;
  grpo_parameter parameter;
  const grpo_parameter* parameters[1];
  grpo_model_info info;
  grpo_decode_info decode_info;
  ticket tickets[TICKETS];
  uint64_t last_ticket;
  int64_t cache_limit; /* tokens that a session may ask for */
  int64_t fail_step;   /* the step of this number fails, counted from 1; 0: none */
  int64_t steps;
} model;

/* The table's row that follows `previous` (-1: none) and `current`. */
int32_t fake_row(int32_t previous, int32_t current);

/* log of the sum of exp(z / t) over the vocabulary; *entropy of softmax(z / t), unless NULL */
double fake_log_sum_exp(const float* z, double t, double* entropy);

extern const grpo_decode fake_decode_table;

#endif
