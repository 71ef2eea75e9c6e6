/* reward.h: grpo.reward/1, a number for every completion.
 *
 * Main idea. A reward gets samples in columns and fills columns. A sample belongs to a row, a record of the dataset with
 * its prompt, its ground truth and all its other columns; the samples of one row are a group and share them.
 *
 * A step, as it happens:
 *   1. open, once. Options are read, files loaded.
 *   2. Completions finish; the host collects some (any of them, in any order, unless the flags ask for more) and calls
 *      score. Each sample ends with a score, or with a status and a message that say why it has none.
 *   3. The host combines the rewards of the run into one. A sample that is not OK is reported and left out of its
 *      group's statistics; it never counts as 0.
 *
 * Advice. Same sample, same score: whatever else is in the batch. Text that cannot be graded is GRPO_SAMPLE_ERROR with a
 * message, not a low score. Ask call->cancelled once a sample, and inside anything that can run long.
 * In C++ start from reward.hpp. */
#ifndef GRPO_REWARD_H
#define GRPO_REWARD_H

#include "plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GRPO_REWARD_ID "grpo.reward/1"

/* What a reward promises and needs: flags of the table. Without any: score runs once at a time on a handle, and any
 * subset of the samples may come. */
enum {
  GRPO_REWARD_CONCURRENT = 1,   /* score may run on one handle from several threads at once */
  GRPO_REWARD_WHOLE_GROUPS = 2, /* a batch holds all samples of each of its rows */
  GRPO_REWARD_WHOLE_BATCH = 4   /* a batch holds all samples of the step */
};

enum {
  GRPO_SAMPLE_OK = 0,
  GRPO_SAMPLE_NOT_APPLICABLE = 1, /* this reward has no opinion on this row */
  GRPO_SAMPLE_ERROR = 2,
  GRPO_SAMPLE_TIMEOUT = 3
};

enum { GRPO_COLUMN_TEXT = 1, GRPO_COLUMN_JSON = 2, GRPO_COLUMN_INTEGER = 3, GRPO_COLUMN_NUMBER = 4 };

/* [grows] A named column, as long as the batch that lists it. The array that `type` names is set, the others are NULL. */
typedef struct grpo_column {
  uint32_t struct_size, flags;
  const char* name;
  int32_t type, reserved;
  const grpo_str* text;   /* TEXT and JSON (the value as JSON text); missing: size 0 */
  const int64_t* integer; /* INTEGER */
  const double* number;   /* NUMBER; missing: NaN */
} grpo_column;

/* [grows] The host's, [call]. [row] has n_rows elements, [sample] has n_samples; none of the arrays is NULL. */
typedef struct grpo_reward_batch {
  uint32_t struct_size, flags;
  int64_t n_rows, n_samples;
  int64_t step; /* of training, from 1; 0 outside training */

  const grpo_str* prompt;       /* [row] as the model saw it */
  const grpo_str* messages;     /* [row] the conversation as JSON; size 0: none */
  const grpo_str* ground_truth; /* [row] size 0: none */
  const int64_t* prompt_start;  /* [row + 1] into prompt_ids */
  const int32_t* prompt_ids;
  int64_t n_columns;
  const grpo_column* const* columns; /* [n_columns] of the dataset, by row */

  const int64_t* row;              /* [sample] its row in this batch */
  const int64_t* index;            /* [sample] its place in its group, from 0 */
  const grpo_str* completion;      /* [sample] special tokens left out; bytes that are not UTF-8 replaced by U+FFFD */
  const int32_t* finish;           /* [sample] GRPO_FINISH_* */
  const int64_t* completion_start; /* [sample + 1] into completion_ids */
  const int32_t* completion_ids;   /* exactly what was sampled */
  int64_t n_sample_columns;
  const grpo_column* const* sample_columns; /* [n_sample_columns] by sample, from an environment */
} grpo_reward_batch;

/* [grows] The host's, [call]. The plugin writes into the arrays, not into the struct. */
typedef struct grpo_reward_result grpo_reward_result;
struct grpo_reward_result {
  uint32_t struct_size, flags;
  void* host;
  double* score;     /* [sample] arrives NaN; left NaN with status OK it is reported as an error */
  int32_t* status;   /* [sample] GRPO_SAMPLE_*, arrives OK */
  grpo_str* message; /* [sample] arrives empty; text from call->alloc, or static */

  /* [any thread] A part of the score to be logged under its own name, such as "format": a column [sample] that arrives
   * NaN. The same name gives the same column. NULL: too many. */
  double* (*component)(const grpo_reward_result* result, const char* name);
};

/* [grows] The plugin's table, [static]: flags GRPO_REWARD_*; the first five as in grpo_table. */
typedef struct grpo_reward {
  uint32_t struct_size, flags;
  grpo_status (*open)(const grpo_call* call, const grpo_options* options, void** handle); /* [any thread] */
  void (*close)(void* handle);                                                            /* [one at a time per handle] */
  const void* (*query)(void* handle, const char* id); /* [one at a time per handle] or NULL */

  /* [one at a time per handle], with GRPO_REWARD_CONCURRENT [any thread]. Not OK: all samples of this batch are errors.
   * On GRPO_STATUS_CANCELLED or _DEADLINE what has been filled in counts, the rest is GRPO_SAMPLE_TIMEOUT. A call
   * that does not return long after its deadline is abandoned: what it was given stays valid, its handle is not used again. */
  grpo_status (*score)(void* handle, const grpo_call* call, const grpo_reward_batch* batch, const grpo_reward_result* result);
} grpo_reward;

#ifdef __cplusplus
}
#endif
#endif
