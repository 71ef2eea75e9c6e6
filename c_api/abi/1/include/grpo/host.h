/* host.h: services that a host offers to its plugins. All are optional.
 *
 * Main idea. A service is a table found by id, like a plugin's, in the other direction. Ask in open, keep the pointer
 * ([handle]), and do without it when it is NULL: a host in another trainer may offer none.
 *
 *   grpo.log/1        a line for the run's log, tagged with the component's name
 *   grpo.metrics/1    a scalar of this step
 *   grpo.tokenizer/1  text to ids and back
 *   grpo.tasks/1      the host's threads, so that plugins start none
 *   grpo.comm/1       the other ranks of a distributed run
 *
 * Random numbers need no service: random.h. Every function takes its own table first. */
#ifndef GRPO_HOST_H
#define GRPO_HOST_H

#include "tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GRPO_LOG_ID "grpo.log/1"

enum { GRPO_LOG_DEBUG = 1, GRPO_LOG_INFO = 2, GRPO_LOG_WARNING = 3, GRPO_LOG_ERROR = 4 };

/* [grows] The host's, [handle]. */
typedef struct grpo_log grpo_log;
struct grpo_log {
  uint32_t struct_size, flags;
  void* host;
  int32_t level, reserved; /* the lowest that is kept when the handle opens */

  /* [any thread] One line, copied. */
  void (*write)(const grpo_log* log, int32_t level, const char* text, int64_t size);
};

#define GRPO_METRICS_ID "grpo.metrics/1"

/* [grows] The host's, [handle]. */
typedef struct grpo_metrics grpo_metrics;
struct grpo_metrics {
  uint32_t struct_size, flags;
  void* host;

  /* [any thread] Reported as plugin/<component>/<name>: the mean of what was added in the step, over ranks too. */
  void (*add)(const grpo_metrics* metrics, const char* name, double value);
};

#define GRPO_TOKENIZER_ID "grpo.tokenizer/1"

enum { GRPO_TOKENIZER_SPECIAL = 1 }; /* encode: recognise special tokens in the text; decode: write them out */

/* [grows] The host's, [handle]. The tokenizer of the policy. */
typedef struct grpo_tokenizer grpo_tokenizer;
struct grpo_tokenizer {
  uint32_t struct_size, flags;
  void* host;
  int64_t vocabulary;    /* ids are 0 .. vocabulary - 1 */
  int32_t bos, eos, pad; /* -1: none */
  int32_t reserved;

  /* [any thread] The number of ids; ids beyond room are counted but not written. -1: not UTF-8. Adds nothing. */
  int64_t (*encode)(const grpo_tokenizer* tokenizer, uint32_t flags, const char* text, int64_t size, int32_t* ids,
                    int64_t room);

  /* [any thread] The number of bytes; bytes beyond room are counted but not written. -1: an id out of range. The bytes
   * of a single id need not be UTF-8. */
  int64_t (*decode)(const grpo_tokenizer* tokenizer, uint32_t flags, const int32_t* ids, int64_t n, char* text, int64_t room);
};

#define GRPO_TASKS_ID "grpo.tasks/1"

/* [grows] The host's, [handle]. */
typedef struct grpo_tasks grpo_tasks;
struct grpo_tasks {
  uint32_t struct_size, flags;
  void* host;
  int64_t threads; /* how many bodies may run at once */

  /* [any thread] that is inside a call of this handle. Runs body over [0, n) in pieces of about `grain`, on this thread
   * and others, and returns when all are done. Bodies do not call parallel_for. GRPO_STATUS_CANCELLED: some did not run. */
  grpo_status (*parallel_for)(const grpo_tasks* tasks, const grpo_call* call, int64_t n, int64_t grain,
                              void (*body)(void* context, int64_t begin, int64_t end) /* [any thread] */, void* context);
};

#define GRPO_COMM_ID "grpo.comm/1"

enum { GRPO_COMM_SUM = 1, GRPO_COMM_MEAN = 2, GRPO_COMM_MAX = 3, GRPO_COMM_MIN = 4 };

/* [grows] The host's, [handle]. Ranks that work together; this process is one of them. */
typedef struct grpo_comm_group {
  uint32_t struct_size, flags;
  const char* name; /* "world": all; "model": those that hold one copy of the model; "data": those that hold the same part */
  int32_t rank, size;
  const int32_t* world_rank; /* [size] */
} grpo_comm_group;

/* [grows] The host's, [handle]. Collectives. All ranks of the group make the same calls in the same order, with the same
 * shapes and types. Tensors without gaps. On the CPU a call returns when it is done; on a device when it is enqueued on the
 * tensor's stream. A rank that is lost or late makes every call on the group fail, with a text that names it. */
typedef struct grpo_comm grpo_comm;
struct grpo_comm {
  uint32_t struct_size, flags;
  void* host;

  /* [any thread] NULL: no such group. */
  const grpo_comm_group* (*group)(const grpo_comm* comm, const char* name);

  /* [same thread, open to close] In place. */
  grpo_status (*all_reduce)(const grpo_comm* comm, const grpo_call* call, const grpo_comm_group* group, int32_t operation,
                            const grpo_tensor* tensor);
  /* [same thread, open to close] whole: [size, ...piece]. piece may be this rank's part of whole. */
  grpo_status (*all_gather)(const grpo_comm* comm, const grpo_call* call, const grpo_comm_group* group,
                            const grpo_tensor* piece, const grpo_tensor* whole);
  /* [same thread, open to close] piece: this rank's part of the reduced whole, [size, ...piece]. */
  grpo_status (*reduce_scatter)(const grpo_comm* comm, const grpo_call* call, const grpo_comm_group* group, int32_t operation,
                                const grpo_tensor* whole, const grpo_tensor* piece);
  /* [same thread, open to close] From the rank `root` of the group to all others. */
  grpo_status (*broadcast)(const grpo_comm* comm, const grpo_call* call, const grpo_comm_group* group, int32_t root,
                           const grpo_tensor* tensor);
};

#ifdef __cplusplus
}
#endif
#endif
