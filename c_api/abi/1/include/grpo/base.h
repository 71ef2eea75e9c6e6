/* base.h: the words that every other header uses.
 *
 * Main idea. A plugin is a shared library that never links its host. Both sides know only these headers: plain C
 * structs, arrays, and tables of functions. Either side may be years older than the other.
 *
 * A call, as it happens:
 *   1. The host makes a grpo_call (deadline, memory, error text) and the arrays that will hold the results.
 *   2. It calls a function of the plugin's table. The plugin reads the inputs, fills the arrays, returns a status.
 *   3. The host reads the results, then frees whatever the plugin took from call->alloc.
 *
 * Structs. Each says which kind it is.
 *   [frozen]  never changes. Needs no struct_size; may be copied and may sit in arrays.
 *   [grows]   starts with struct_size and flags; later revisions append fields. Passed by pointer, never embedded, never
 *             an array element, never copied or assigned whole, and WRITTEN ONLY BY THE SIDE THAT MADE IT. Its maker
 *             zeroes it and sets struct_size = sizeof; its reader uses GRPO_HAS before a field newer than revision 1.
 *             An appended field that is all zero means "as before". Unknown flags and enum values mean "not supported".
 *
 * Ownership. The caller owns what it passes; it is valid until the function returns. Results go into the caller's
 * arrays, or into memory from call->alloc, which the caller frees. Only handles outlive a call; close ends them.
 *
 * Inputs and their revision. A caller that sets a field which the other side's headers do not have would be ignored
 * without a word. So both sides tell their GRPO_HEADER_REVISION at load, the host refuses such a value with a message, and
 * each interface describes what it honours (capability bits) because new headers do not make old code understand.
 *
 * Tags on functions. Threads first; every function but open needs an open handle.
 *   [any thread]                  from any thread, at the same time as anything else
 *   [one at a time per handle]    from any thread, but never two such calls at once on one handle
 *   [same thread, open to close]  always from the thread that called open
 * Tags on pointers: how long they stay valid.
 *   [call] until the function returns    [handle] until close    [static] until the process ends
 *
 * No exception, longjmp, C++ type, FILE*, or allocator crosses. Targets: 64-bit, little-endian. Text: UTF-8. */
#ifndef GRPO_BASE_H
#define GRPO_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define GRPO_EXTERN_C extern "C"
extern "C" {
#else
#define GRPO_EXTERN_C extern
#endif

/* Counts the appends to all headers together. Fields say "since N" when N > 1. Each side tells the other its number. */
#define GRPO_HEADER_REVISION 1

/* Is p, made by the other side, long enough to hold this field? */
#define GRPO_HAS(p, field) ((p)->struct_size >= offsetof(__typeof__(*(p)), field) + sizeof((p)->field))

/* The size of a struct in the revision whose last field was this one: what an old maker states at least. */
#define GRPO_SIZE_TO(type, field) (offsetof(type, field) + sizeof(((type*)0)->field))

typedef int32_t grpo_status;
enum {
  GRPO_STATUS_OK = 0,
  GRPO_STATUS_FAILED = 1,      /* it went wrong; the text says how */
  GRPO_STATUS_INVALID = 2,     /* the arguments break the contract */
  GRPO_STATUS_UNSUPPORTED = 3, /* allowed by the contract, not offered here */
  GRPO_STATUS_CANCELLED = 4,   /* because cancelled() said so */
  GRPO_STATUS_DEADLINE = 5,    /* because deadline_ns passed */
  GRPO_STATUS_NO_MEMORY = 6,
  GRPO_STATUS_AGAIN = 7, /* nothing yet: ask again */
  GRPO_STATUS_END = 8    /* nothing more will come */
};

/* How a completion ended. */
enum {
  GRPO_FINISH_NONE = 0,     /* not finished */
  GRPO_FINISH_STOP = 1,     /* a stop token or a stop text */
  GRPO_FINISH_LENGTH = 2,   /* the limit on new tokens, or on positions */
  GRPO_FINISH_CANCELLED = 3 /* the host no longer wanted it; the completion is a prefix */
};

/* [frozen] Text. Valid UTF-8; data is never NULL and data[size] is 0 (zero bytes may also occur inside). */
typedef struct grpo_str {
  const char* data;
  int64_t size; /* bytes, without the final 0 */
} grpo_str;

/* [grows] The host's; one for each call that can take time. A plugin that calls on (into a bound model, say) passes its
 * own call. */
typedef struct grpo_call grpo_call;
struct grpo_call {
  uint32_t struct_size, flags;
  void* host;          /* the host's own */
  int64_t deadline_ns; /* absolute, CLOCK_MONOTONIC; 0: none */

  /* [any thread] Not 0: stop soon, return GRPO_STATUS_CANCELLED or _DEADLINE. Costs a few ns: ask once a sample. */
  int32_t (*cancelled)(const grpo_call* call);

  /* [any thread] size bytes, zeroed, 64-byte aligned; NULL: limit reached. Never freed by the plugin. */
  void* (*alloc)(const grpo_call* call, int64_t size);

  /* [any thread] Sets the text of the error (copied; the first one stays) and returns status. */
  grpo_status (*fail)(const grpo_call* call, grpo_status status, const char* text, int64_t size);

  /* [any thread] For long calls such as loading weights. */
  void (*progress)(const grpo_call* call, double done, double total);

  /* [any thread] A service of the host by id (host.h), or NULL if it has none. Result: [handle], so look up in open. */
  const void* (*service)(const grpo_call* call, const char* id);
};

typedef struct grpo_component grpo_component; /* plugin.h */

/* [grows] The host's, [call]. A component's options, already checked against the manifest's schema, defaults filled in.
 * Each getter: 1 and *value set, or 0 and *value untouched when there is no such key (or it has another type). */
typedef struct grpo_options grpo_options;
struct grpo_options {
  uint32_t struct_size, flags;
  void* host;
  grpo_str json; /* the whole object */

  int32_t (*number)(const grpo_options* options, const char* key, double* value);   /* [any thread] */
  int32_t (*integer)(const grpo_options* options, const char* key, int64_t* value); /* [any thread] booleans: 0, 1 */
  int32_t (*text)(const grpo_options* options, const char* key,
                  grpo_str* value); /* [any thread] [handle] lists, objects: JSON */

  /* The one that is opened, as the plugin listed it, so that several can share a table. [static] */
  const grpo_component* component;
};

/* Conveniences. */
static inline double grpo_option_number(const grpo_options* options, const char* key, double otherwise) {
  options->number(options, key, &otherwise);
  return otherwise;
}
static inline int64_t grpo_option_integer(const grpo_options* options, const char* key, int64_t otherwise) {
  options->integer(options, key, &otherwise);
  return otherwise;
}
static inline int64_t grpo_text_size(const char* text) {
  int64_t size = 0;
  while (text[size]) ++size;
  return size;
}
static inline grpo_status grpo_fail(const grpo_call* call, grpo_status status, const char* text) {
  return call->fail(call, status, text, grpo_text_size(text));
}

#ifdef __cplusplus
}
#endif
#endif
