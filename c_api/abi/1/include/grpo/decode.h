/* decode.h: grpo.decode/1, token by token with a cache. A model offers it through query.
 *
 * Main idea. A session has slots. A slot is a sequence: n tokens in the cache, and one, its last, still pending. step feeds
 * the pending token, chooses the next one, reports it, and leaves that one pending. All slots in a call move together.
 *
 * A group of G completions, as it happens:
 *   1. prefill the prompt into a slot: packed with other prompts, and in as many chunks as suits the engine.
 *   2. fork it into G slots. They share the prompt's cache.
 *   3. assign each its key, its sampling options and its stop ids.
 *   4. step them with all the other live slots until `ended` says so; read the tokens; release the slots.
 *   A later turn of a conversation is a prefill into the same slot: it appends.
 *
 * Running ahead. With room > 1 a step makes up to that many tokens for each slot in one call. Everything that a choice
 * depends on (key, options, stop ids, limits) is in the slot since assign, so a device engine keeps it there, enqueues
 * `room` passes back to back (or replays a captured graph), feeds each sampled token to the next pass on the device,
 * masks slots that have ended, and copies tokens and log-probabilities to the host once, at the end: one host
 * synchronisation in a call, none for each token. Tokens do not depend on room. A slot that ends early wastes the rest of
 * its room, so callers use a small one (8 to 32).
 *
 * Memory. All arrays are the caller's, in host memory. The cache is set aside by session_open; step never allocates. */
#ifndef GRPO_DECODE_H
#define GRPO_DECODE_H

#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GRPO_DECODE_ID "grpo.decode/1"

/* Which fields of grpo_sampling are honoured. The others must be 0. */
enum {
  GRPO_SAMPLING_TOP_K = 1,
  GRPO_SAMPLING_TOP_P = 2,
  GRPO_SAMPLING_MIN_P = 4,
  GRPO_SAMPLING_REPETITION_PENALTY = 8,
  GRPO_SAMPLING_MIN_NEW = 16,
  GRPO_SAMPLING_STOP_TEXT = 32 /* samplers only */
};

/* [grows] The caller's, as long as the request or the assignment that points to it. How to choose a token. Order:
 * repetition penalty, temperature, then top_k, top_p, min_p, each on the distribution that the one before left; then one
 * draw, as random.h says. */
typedef struct grpo_sampling {
  uint32_t struct_size, flags;
  double temperature;        /* 0: the most probable token, lowest id on a tie */
  double top_p;              /* the fewest tokens that reach this probability together; 0 or 1: off */
  double min_p;              /* tokens with at least this share of the greatest probability; 0: off */
  double repetition_penalty; /* of ids already in the sequence: z / penalty if z > 0, else z * penalty; 0 or 1: off */
  int32_t top_k;             /* the k most probable tokens; 0: off */
  int32_t min_new, max_new;  /* stop ids are not chosen before min_new tokens; max_new 0: until positions run out */
  int32_t n_stop, n_stop_text, reserved;
  const int32_t* stop;       /* [n_stop] ids that end a sequence; the id is part of the completion */
  const grpo_str* stop_text; /* [n_stop_text] the token that completes it is part of the completion */
} grpo_sampling;

/* [grows] The model's, [handle]. */
typedef struct grpo_decode_info {
  uint32_t struct_size, flags;
  uint32_t sampling; /* GRPO_SAMPLING_* */
  int32_t max_room;  /* in one step; 0: any */
} grpo_decode_info;

/* [grows] The caller's, [call]. */
typedef struct grpo_decode_session {
  uint32_t struct_size, flags;
  int64_t slots;  /* numbered from 0 */
  int64_t tokens; /* of cache, over all slots, forked prompts counted once */
} grpo_decode_session;

enum {
  GRPO_PREFILL_TRAIN = 1 /* what these slots, and those forked from them, come to hold will be trained on with the weights
                            of now: an engine may keep what it computes for grpo_model's forward. A hint; known flags may
                            be ignored, results are the same */
};

/* [grows] The caller's, [call]. Appends tokens to n slots, empty ones or not: feeds the pending token, if there is one, and
 * all given tokens but the last, which is pending now. */
typedef struct grpo_decode_prefill {
  uint32_t struct_size, flags; /* GRPO_PREFILL_* */
  int64_t n;
  const int64_t* slot;     /* [n] distinct */
  const int64_t* start;    /* [n + 1] into token, increasing */
  const int32_t* token;    /* [start[n]] packed */
  const int32_t* position; /* [n_axes][start[n]]; NULL: counted on from the slot's length */
  int64_t n_extras;
  const grpo_named_tensor* const* extras; /* [n_extras] as in grpo_forest */
} grpo_decode_prefill;

/* [grows] The caller's, [call]. */
typedef struct grpo_decode_fork {
  uint32_t struct_size, flags;
  int64_t n;
  const int64_t* from; /* [n] */
  const int64_t* to;   /* [n] distinct, empty: becomes equal to `from` in all but what assign gives */
} grpo_decode_fork;

/* [grows] The caller's, [call]; the engine copies what it needs. */
typedef struct grpo_decode_assign {
  uint32_t struct_size, flags;
  int64_t n;
  const int64_t* slot;                  /* [n] */
  const uint64_t* key;                  /* [n] */
  const grpo_sampling* const* sampling; /* [n] may repeat; min_new and max_new count from here */
} grpo_decode_assign;

enum {
  GRPO_STEP_PEEK = 1 /* give logits only and leave the slots as they are: for callers that choose themselves, with force */
};

/* [grows] The caller's, [call]; so are its arrays. Rows are in the order of slot; [n][room] is row-major. */
typedef struct grpo_decode_step {
  uint32_t struct_size, flags; /* GRPO_STEP_* */
  int64_t n, room;             /* room >= 1 */
  const int64_t* slot;         /* [n] distinct, each with a pending token and an assignment */
  const int32_t* force;        /* [n] the first token of the row in this call; -1: choose it. NULL: choose all */
  int32_t* token;              /* out [n][room] */
  int32_t* count;              /* out [n] tokens in the row; under room only if it ended */
  int32_t* ended;              /* out [n] GRPO_FINISH_NONE, _STOP or _LENGTH */
  float* logprob;              /* out [n][room] under softmax(logits / temperature), before penalty and truncation (at
                                  temperature 0: under softmax(logits)). This is the one that training uses. NULL: not wanted */
  float* logprob_sampled;      /* out [n][room] under the distribution drawn from; NULL: not wanted */
  float* logits;               /* out [n][vocabulary] of the first token in this call, unchanged; NULL: not wanted */
} grpo_decode_step;

/* [grows] The model's table, [handle]: flags 0. Sessions belong to their model's handle and end before it. On failure nothing
 * changed, unless said otherwise. */
typedef struct grpo_decode {
  uint32_t struct_size, flags;

  /* [same thread, open to close] Result: [handle] of the model. */
  const grpo_decode_info* (*describe)(void* model);

  /* [same thread, open to close] GRPO_STATUS_NO_MEMORY: ask for less. */
  grpo_status (*session_open)(void* model, const grpo_call* call, const grpo_decode_session* wanted, void** session);

  /* [same thread, open to close] */
  void (*session_close)(void* session);

  /* [same thread, open to close] Tokens that may still be appended, whichever slots they go to: a lower bound. */
  int64_t (*free_tokens)(void* session);

  /* [same thread, open to close] GRPO_STATUS_NO_MEMORY: release something. */
  grpo_status (*prefill)(void* session, const grpo_call* call, const grpo_decode_prefill* prefill);

  /* [same thread, open to close] */
  grpo_status (*fork)(void* session, const grpo_call* call, const grpo_decode_fork* fork);

  /* [same thread, open to close] */
  grpo_status (*assign)(void* session, const grpo_call* call, const grpo_decode_assign* assign);

  /* [same thread, open to close] GRPO_STATUS_NO_MEMORY: free_tokens is under n * room. Cancelled: what `count` says
   * has happened. */
  grpo_status (*step)(void* session, const grpo_call* call, const grpo_decode_step* step);

  /* [same thread, open to close] The slots are empty again. */
  void (*release)(void* session, int64_t n, const int64_t* slot);
} grpo_decode;

/* The options that s uses, as GRPO_SAMPLING_*: must all be in `sampling` of the engine's description. */
static inline uint32_t grpo_sampling_used(const grpo_sampling* s) {
  uint32_t used = 0;
  if (s->top_k > 0) used |= GRPO_SAMPLING_TOP_K;
  if (s->top_p > 0 && s->top_p < 1) used |= GRPO_SAMPLING_TOP_P;
  if (s->min_p > 0) used |= GRPO_SAMPLING_MIN_P;
  if (s->repetition_penalty > 0 && (s->repetition_penalty < 1 || s->repetition_penalty > 1))
    used |= GRPO_SAMPLING_REPETITION_PENALTY;
  if (s->min_new > 0) used |= GRPO_SAMPLING_MIN_NEW;
  if (s->n_stop_text > 0) used |= GRPO_SAMPLING_STOP_TEXT;
  return used;
}

#ifdef __cplusplus
}
#endif
#endif
