/* sampler.h: grpo.sampler/1, prompts to completions.
 *
 * Main idea. generate pulls: it takes requests from a feed when it has room, and delivers each completion the moment it
 * is finished, in any order. So rewards run while others still generate, long completions hold nobody up, and a
 * rollout across steps is the same call that simply does not end.
 *
 * A step, as it happens:
 *   1. generate(feed). The sampler asks next for requests, works on them together, delivers completions; when next says
 *      GRPO_STATUS_END and everything has been delivered it returns.
 *   2. The policy changed: update_begin gives a sink, the model's export_weights fills it, update_end switches over.
 *   In an asynchronous run 2 happens beside 1, between pause and resume, and completions say which tokens are whose.
 *
 * Every request ends with exactly n_samples completions, whatever happens: cancel makes the open ones short, not missing.
 *
 * Two kinds. A sampler in this process is bound to a model and drives its grpo.decode/1; it reads the model's own weights
 * and needs no update. A sampler with an engine of its own, here or behind a network, takes updates. */
#ifndef GRPO_SAMPLER_H
#define GRPO_SAMPLER_H

#include "decode.h"
#include "random.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GRPO_SAMPLER_ID "grpo.sampler/1"

enum {
  GRPO_SAMPLER_BINDS = 1,   /* needs bind before generate */
  GRPO_SAMPLER_UPDATES = 2, /* has weights of its own: needs update_begin, update_end */
  GRPO_SAMPLER_BESIDE = 4,  /* updates may run beside generate; needs pause and resume */
  GRPO_SAMPLER_EXTRAS = 8   /* takes extras in requests */
};

/* [grows] The sampler's, [handle]. */
typedef struct grpo_sampler_info {
  uint32_t struct_size, flags; /* GRPO_SAMPLER_* */
  uint32_t sampling;           /* GRPO_SAMPLING_*; complete after bind */
  int32_t logprob_kind;        /* GRPO_LOGPROB_* of its completions */
  int64_t max_positions;       /* prompt and completion together; 0: as the model */
} grpo_sampler_info;

/* [grows] The host's, [handle]. The tables may be the host's own, in front of the model's. */
typedef struct grpo_sampler_binding {
  uint32_t struct_size, flags;
  void* model; /* the first argument of the functions below */
  const grpo_model* model_table;
  const grpo_decode* decode_table; /* NULL: the model has none */
  uint32_t model_revision;         /* GRPO_HEADER_REVISION of the model's headers: it ignores fields that are newer */
  uint32_t reserved;
} grpo_sampler_binding;

enum {
  GRPO_REQUEST_TRAIN = 1 /* its completions will be trained on with the weights of now; a sampler passes it on to the engine
                            (GRPO_PREFILL_TRAIN). A hint */
};

/* [grows] The host's, until the last of its completions has been delivered. */
typedef struct grpo_request {
  uint32_t struct_size, flags; /* GRPO_REQUEST_* */
  uint64_t id;                 /* unique while it is open */
  uint64_t key;                /* sample i draws with grpo_random_key(key, i) */
  int64_t n_prompt, n_samples;
  const int32_t* prompt; /* [n_prompt], at least one */
  const grpo_sampling* sampling;
  int64_t n_extras;
  const grpo_named_tensor* const* extras; /* [n_extras] as in grpo_forest */
} grpo_request;

/* What `logprob` of a completion means. Training wants TEMPERED; the host corrects or refuses the others. */
enum {
  GRPO_LOGPROB_NONE = 0,
  GRPO_LOGPROB_TEMPERED = 1, /* softmax(logits / temperature), before penalty and truncation */
  GRPO_LOGPROB_RAW = 2,      /* softmax(logits) */
  GRPO_LOGPROB_SAMPLED = 3   /* the distribution drawn from, after penalty and truncation */
};

/* [grows] The sampler's, for the length of deliver. */
typedef struct grpo_completion {
  uint32_t struct_size, flags;
  uint64_t request;
  int64_t index; /* which sample, from 0 */
  int64_t n;
  const int32_t* ids;           /* [n] */
  int32_t finish;               /* GRPO_FINISH_* */
  int32_t logprob_kind;         /* GRPO_LOGPROB_* */
  const float* logprob;         /* [n]; NULL with GRPO_LOGPROB_NONE */
  const float* logprob_sampled; /* [n] as GRPO_LOGPROB_SAMPLED; NULL: not known */
  int64_t version;              /* of the weights that gave the last token */
  const int64_t* token_version; /* [n]; NULL: all `version` */
  int64_t n_extras;
  const grpo_named_tensor* const* extras; /* [n_extras] what training needs to repeat the pass: "expert_routes", ... */
} grpo_completion;

/* [grows] The host's, for the length of generate. */
typedef struct grpo_feed grpo_feed;
struct grpo_feed {
  uint32_t struct_size, flags;
  void* host;

  /* [any thread] The next request. Waits up to wait_ns (0: not at all) while there is none.
   * GRPO_STATUS_AGAIN: none now, go on with what you have. GRPO_STATUS_END: none will come. */
  grpo_status (*next)(const grpo_feed* feed, const grpo_call* call, int64_t wait_ns, const grpo_request** request);

  /* [any thread] The completion is copied. Not OK: stop generating, and return this status. */
  grpo_status (*deliver)(const grpo_feed* feed, const grpo_call* call, const grpo_completion* completion);
};

enum {
  GRPO_PAUSE_KEEP = 1,      /* open completions go on afterwards, on the cache they have */
  GRPO_PAUSE_RECOMPUTE = 2, /* open completions go on afterwards, their cache computed anew with the new weights */
  GRPO_PAUSE_CANCEL = 3     /* open completions are delivered now as GRPO_FINISH_CANCELLED */
};

/* [grows] The plugin's table, [static]: flags 0; the first five as in grpo_table. A bound sampler runs on its model's thread.
 */
typedef struct grpo_sampler {
  uint32_t struct_size, flags;
  grpo_status (*open)(const grpo_call* call, const grpo_options* options, void** handle); /* [any thread] */
  void (*close)(void* handle);                                                            /* [same thread, open to close] */
  const void* (*query)(void* handle, const char* id); /* [same thread, open to close] or NULL */

  /* [any thread] Result: [handle]. */
  const grpo_sampler_info* (*describe)(void* handle);

  /* [same thread, open to close] Once, before generate. NULL without GRPO_SAMPLER_BINDS. */
  grpo_status (*bind)(void* handle, const grpo_call* call, const grpo_sampler_binding* binding);

  /* [same thread, open to close] Returns at the end of the feed, with every request complete; on any other status the
   * requests still open are lost. */
  grpo_status (*generate)(void* handle, const grpo_call* call, const grpo_feed* feed);

  /* [any thread] Returns at once; generate then delivers what the request still owes, as GRPO_FINISH_CANCELLED with the
   * tokens so far. A request that is not open is ignored. */
  void (*cancel)(void* handle, uint64_t request);

  /* [one at a time per handle], beside generate. Returns when no token is being made. NULL without GRPO_SAMPLER_BESIDE. */
  grpo_status (*pause)(void* handle, const grpo_call* call, int32_t mode);

  /* [one at a time per handle], beside generate. */
  grpo_status (*resume)(void* handle, const grpo_call* call);

  /* [one at a time per handle], while generate does not run or is paused. *sink: the sampler's, until update_end; put
   * may come from the thread of the exporting model. NULL without GRPO_SAMPLER_UPDATES. */
  grpo_status (*update_begin)(void* handle, const grpo_call* call, int64_t version, const grpo_tensor_sink** sink);

  /* [one at a time per handle] After update_begin. accept 1: use the new weights from now on, all of them; 0: forget
   * them. Failing leaves the old ones in use. */
  grpo_status (*update_end)(void* handle, const grpo_call* call, int32_t accept);

  /* [same thread, open to close] The bound model's weights are now version `version` (after its commit). NULL without
   * GRPO_SAMPLER_BINDS. */
  void (*model_changed)(void* handle, int64_t version);
} grpo_sampler;

#ifdef __cplusplus
}
#endif
#endif
