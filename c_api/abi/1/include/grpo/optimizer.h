/* optimizer.h: grpo.optimizer/1, gradients to new values.
 *
 * Main idea. An optimizer owns pieces of parameters, not parameters: the host cuts them so that each rank steps its share.
 * Clipping is a scale that the host computes, because only the host knows the norm over all ranks.
 *
 * A step, as it happens:
 *   1. bind, once: the slices of this rank. The optimizer makes its state for them.
 *   2. squared_norm gives this rank's share; the host sums over the ranks, takes the root, chooses gradient_scale.
 *      A norm that is not finite ends here: the host skips the step.
 *   3. step. The host gathers the values where ranks share them, then calls the model's commit.
 *
 * Checkpoints. All that a step depends on, besides its arguments, is in the tensors of state (master weights too). The
 * host saves them; to restore it binds again, writes into the same tensors and calls state_written. The next step is then
 * bit-identical. The tensors of state are in host memory; an optimizer that keeps its state on a device gives copies. */
#ifndef GRPO_OPTIMIZER_H
#define GRPO_OPTIMIZER_H

#include "plugin.h"
#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GRPO_OPTIMIZER_ID "grpo.optimizer/1"

/* Flags of the table. */
enum { GRPO_OPTIMIZER_ELEMENTWISE = 1 }; /* each element by itself: slices may be cut anywhere. Else: whole parameters */

enum {
  GRPO_SLICE_NO_DECAY = 1, /* no weight decay here */
  GRPO_SLICE_DUPLICATE = 2 /* another rank counts it in the norm: stepped, but left out of squared_norm */
};

/* [grows] The host's, [handle]; so are its tensors. A whole parameter, or a flat piece of one. */
typedef struct grpo_slice {
  uint32_t struct_size, flags; /* GRPO_SLICE_* */
  const char* name;            /* of the parameter */
  int64_t whole_ndim;
  const int64_t* whole_shape;  /* [whole_ndim] of the parameter on this rank */
  int64_t offset;              /* of the piece in the flattened parameter, in elements */
  const grpo_tensor* value;    /* whole_shape, or [n] */
  const grpo_tensor* gradient; /* the same shape; fp32 or value's type */
} grpo_slice;

/* [grows] The host's, [call]. */
typedef struct grpo_optimizer_step {
  uint32_t struct_size, flags;
  int64_t step; /* from 1 */
  double learning_rate;
  double gradient_scale; /* gradients are multiplied by it first */
} grpo_optimizer_step;

/* [grows] The plugin's table, [static]: flags GRPO_OPTIMIZER_*; the first five as in grpo_table. */
typedef struct grpo_optimizer {
  uint32_t struct_size, flags;
  grpo_status (*open)(const grpo_call* call, const grpo_options* options, void** handle); /* [any thread] */
  void (*close)(void* handle);                                                            /* [same thread, open to close] */
  const void* (*query)(void* handle, const char* id); /* [same thread, open to close] or NULL */

  /* [same thread, open to close] Once, before all below. GRPO_STATUS_UNSUPPORTED: a type or device it cannot step. */
  grpo_status (*bind)(void* handle, const grpo_call* call, int64_t n, const grpo_slice* const* slices);

  /* [same thread, open to close] The sum of the squares of the gradients, in double precision; host memory. */
  grpo_status (*squared_norm)(void* handle, const grpo_call* call, double* sum);

  /* [same thread, open to close] Failing leaves values and state as they were. */
  grpo_status (*step)(void* handle, const grpo_call* call, const grpo_optimizer_step* step);

  /* [same thread, open to close] *list: [handle]; *n tensors named "<slice>.<what>", always the same in the same order;
   * they hold the state of now, until the next step. */
  grpo_status (*state)(void* handle, const grpo_call* call, int64_t* n, const grpo_named_tensor* const** list);

  /* [same thread, open to close] The host wrote into the tensors of state. */
  grpo_status (*state_written)(void* handle, const grpo_call* call);
} grpo_optimizer;

#ifdef __cplusplus
}
#endif
#endif
