/* model.h: grpo.model/1, tokens to log-probabilities, and their gradients to parameter gradients.
 *
 * Main idea. The objective lives in the host. A model turns tokens into the log-probability and entropy of chosen tokens,
 * and the derivatives with respect to those into gradients of its parameters. It knows nothing of clipping, KL or
 * advantages, and every objective works on every model.
 *
 * Batches are forests. A node is a run of tokens that continues its parent; a prompt shared by G completions is one root
 * with G children, computed once, forward and backward. Nothing is padded. Tokens see their own node up to themselves,
 * and all of their ancestors, nothing else.
 *
 *     token       P0 P1 P2 | A0 A1 A2 | B0 B1        node_start 0 3 6 8     parent -1 0 0
 *     to score A: target_at 2 3 4, target_token A0 A1 A2      to score B: target_at 2 6, target_token B0 B1
 *
 * A step of training, as it happens:
 *   1. zero_grad. Then for each micro batch: forward with GRPO_FORWARD_TRAIN gives a ticket; the host computes the loss
 *      and its derivatives; backward with the ticket adds to the gradients.
 *   2. The host reduces the gradients over the ranks and lets an optimizer write the values.
 *   3. commit: the model may now repack what it derived from the values.
 *
 * Several ranks. A model that spans ranks (tensor or pipeline parallel) takes the group "model" of grpo.comm/1 in open
 * and says so in its description. All ranks of the group then get the same calls with the same batch, in the same order;
 * all of them return the same log-probabilities. Data parallelism is the host's, and no model knows of it.
 *
 * Threads: the host keeps one thread for models, decoders and optimizers, because compute libraries hold state for each
 * thread (a team of OpenMP threads, gradient mode, current stream). */
#ifndef GRPO_MODEL_H
#define GRPO_MODEL_H

#include "plugin.h"
#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GRPO_MODEL_ID "grpo.model/1"

/* What a model can do. The host refuses, or flattens, what is not here. */
enum {
  GRPO_MODEL_TRAIN = 1,     /* backward */
  GRPO_MODEL_ENTROPY = 2,   /* entropy, and dentropy in backward if TRAIN */
  GRPO_MODEL_POSITIONS = 4, /* explicit positions */
  GRPO_MODEL_EXTRAS = 8,    /* named tensors beside the tokens */
  GRPO_MODEL_IMPORT = 16,   /* import_weights after open */
  GRPO_MODEL_ADAPTED = 32   /* what is trained stands beside frozen weights: GRPO_FORWARD_BASE, GRPO_SINK_TRAINED */
};

/* [grows] The model's, [handle]. */
typedef struct grpo_model_info {
  uint32_t struct_size, flags; /* GRPO_MODEL_* */
  int64_t vocabulary;
  int64_t max_positions; /* longest path, in tokens */
  int64_t max_tokens;    /* in one forward; 0: as memory allows */
  int32_t max_depth;     /* of the forest: 1 separate sequences, 2 shared prompts, 0 any */
  int32_t max_tickets;   /* forwards that may wait for their backward */
  int32_t n_axes;        /* of explicit positions, such as 3 for M-RoPE; else 0 */
  int32_t reserved;
  int64_t n_elements;     /* parameters, over all ranks of the group */
  double flops_per_token; /* forward, attention left out */
  int32_t device_type, device_id;
  uint64_t stream;           /* where the model works; see grpo_tensor */
  const char* group;         /* the group of grpo.comm/1 that it spans; NULL: this rank alone */
  int64_t device_peak_bytes; /* the most that it has held on its device so far; 0: not known. describe renews it */
  int64_t rollout_tokens;    /* a rollout of at most so many tokens, prompts counted once, is trained on cheapest (what
                                decoding computed is kept, say); the host cuts longer ones if it can. 0: no preference */
} grpo_model_info;

enum {
  GRPO_PARAMETER_FROZEN = 1,    /* not trained; gradient is NULL */
  GRPO_PARAMETER_REPLICATED = 2 /* in a model that spans ranks: equal on all of them, value and gradient */
};

/* [grows] The model's, [handle]. This rank's part; a tensor that several layers use is listed once. */
typedef struct grpo_parameter {
  uint32_t struct_size, flags; /* GRPO_PARAMETER_* */
  const char* name;            /* Hugging Face's where there is one; stable from run to run */
  const grpo_tensor* value;    /* others write it between backward and commit */
  const grpo_tensor* gradient; /* same shape, fp32 or value's type; accumulates until zero_grad */
} grpo_parameter;

/* [grows] The caller's, [call]. Packed tokens and who continues whom. */
typedef struct grpo_forest {
  uint32_t struct_size, flags;
  int64_t n_tokens, n_nodes;
  const int32_t* token;      /* [n_tokens] */
  const int64_t* node_start; /* [n_nodes + 1] into token, increasing: no node is empty */
  const int64_t* parent;     /* [n_nodes] < own index; -1: a root */
  const int32_t* position;   /* [n_axes][n_tokens]; NULL: tokens count from 0 along their path */
  int64_t n_extras;
  const grpo_named_tensor* const* extras; /* [n_extras] as the model documents: "pixel_values", "image_grid_thw", ... */
} grpo_forest;

enum {
  GRPO_FORWARD_TRAIN = 1, /* keep what backward needs, and give a ticket */
  GRPO_FORWARD_BASE = 2   /* of an ADAPTED model: by the frozen weights alone, as a reference */
};

/* [grows] The caller's, [call]; so are its arrays. */
typedef struct grpo_forward {
  uint32_t struct_size, flags; /* GRPO_FORWARD_* */
  const grpo_forest* forest;
  double temperature; /* > 0: logits are divided by it */
  int64_t n_targets;
  const int64_t* target_at;    /* [n_targets] the token whose output predicts ... */
  const int32_t* target_token; /* [n_targets] ... this id */
  float* logprob;              /* out [n_targets] log softmax(logits / temperature) of the id; host memory */
  float* entropy;              /* out [n_targets] of the same distribution, in nats; NULL: not wanted */
  uint64_t* ticket;            /* out, with TRAIN; NULL without */
} grpo_forward;

/* [grows] The caller's, [call]. */
typedef struct grpo_backward {
  uint32_t struct_size, flags;
  uint64_t ticket;
  const float* dlogprob; /* [n_targets] dL/dlogprob; host memory */
  const float* dentropy; /* [n_targets] dL/dentropy; NULL: zero */
} grpo_backward;

/* [grows] The plugin's table, [static]: flags 0; the first five as in grpo_table. On failure a function leaves parameters and
 * gradients as they were, except backward, after which the gradients are undefined until zero_grad. */
typedef struct grpo_model {
  uint32_t struct_size, flags;
  grpo_status (*open)(const grpo_call* call, const grpo_options* options, void** handle); /* [any thread] */
  void (*close)(void* handle);                                                            /* [same thread, open to close] */
  const void* (*query)(void* handle, const char* id); /* [same thread, open to close] or NULL; "grpo.decode/1" */

  /* [same thread, open to close] Result: [handle]; constant, except stream and device_peak_bytes. */
  const grpo_model_info* (*describe)(void* handle);

  /* [same thread, open to close] *list: [handle]; *n of them, always the same in the same order. */
  grpo_status (*parameters)(void* handle, const grpo_call* call, int64_t* n, const grpo_parameter* const** list);

  /* [same thread, open to close] GRPO_STATUS_NO_MEMORY: nothing happened; try a smaller batch. */
  grpo_status (*forward)(void* handle, const grpo_call* call, const grpo_forward* forward);

  /* [same thread, open to close] Ends the ticket, also on failure. Tickets end in any order. */
  grpo_status (*backward)(void* handle, const grpo_call* call, const grpo_backward* backward);

  /* [same thread, open to close] Ends the ticket without a backward. */
  void (*drop)(void* handle, uint64_t ticket);

  /* [same thread, open to close] */
  grpo_status (*zero_grad)(void* handle, const grpo_call* call);

  /* [same thread, open to close] Values were written, and are now version `version`; no ticket is open. Caches of decode
   * sessions keep what older values gave. */
  grpo_status (*commit)(void* handle, const grpo_call* call, int64_t version);

  /* [same thread, open to close] Puts every parameter into the sink, whole, in Hugging Face's names and layout. In a
   * model that spans ranks all of them call; each tensor is put on the group's rank 0, the other ranks put nothing. */
  grpo_status (*export_weights)(void* handle, const grpo_call* call, const grpo_tensor_sink* sink);

  /* [same thread, open to close] The reverse; every rank reads the parts it holds. Of an ADAPTED model the parameters that
   * are trained, alone, if the source has them. Counts as a commit of `version`. */
  grpo_status (*import_weights)(void* handle, const grpo_call* call, int64_t version, const grpo_tensor_source* source);
} grpo_model;

#ifdef __cplusplus
}
#endif
#endif
