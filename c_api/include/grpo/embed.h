/* embed.h: libgrpo.so, the SDK for other programs: trainers, evaluations, services, in any language that calls C.
 *
 * Main idea. A plugin that was built once serves grpo-host and, through this library, everybody else. What the host does
 * besides is here too: advantages, objectives with their gradient, tokenizers, chat templates, grading, and the trainer
 * itself, a step at a time. The library holds no LibTorch; a model comes as a plugin, like everything else.
 *
 *   grpo_embed_plugins* plugins;
 *   grpo_embed_reward* math;
 *   grpo_embed_plugins_open(&places, 1, &plugins, &error);
 *   grpo_embed_reward_open(plugins, &wanted, &math, &error);       // wanted.name = "math"
 *   grpo_embed_reward_score(math, &batch, &scores, &error);        // scores.score: your array
 *   grpo_embed_reward_close(math);
 *   grpo_embed_plugins_close(plugins);
 *
 * The rules are those of base.h. [grows] structs are the caller's: zero them, set struct_size, and never let the library
 * write into one: results go through pointers in them. Three kinds of result:
 *   - into the caller's arrays, whose sizes the caller knows;
 *   - what the library makes, because nobody knows its size before: a [frozen] struct with an `owner`, which
 *     grpo_embed_free takes back. On failure owner is NULL;
 *   - handles, which their own close ends. It is the last call: none on this handle may be running, in another thread or
 *     further up in this one (a callback of the trainer), and none may follow.
 * Errors: a function that can fail returns a grpo_status and writes its text into the caller's grpo_embed_error, so
 * threads never see each other's. Nothing is printed but what plugins and trainers log (grpo_embed_set_log_level).
 *
 * Every pointer to a result may be NULL where it says so; no other pointer may be. Names, paths and JSON are texts that
 * end with a 0; everything else has a size. Arrays that go in are read during the call and not kept. */
#ifndef GRPO_EMBED_H
#define GRPO_EMBED_H

#include "host.h"
#include "reward.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GRPO_EMBED_API __attribute__((visibility("default")))

/* [frozen] The caller's: where the text of an error goes. Any function takes NULL for it. */
typedef struct grpo_embed_error {
  char* text;   /* [room] the first room - 1 bytes at most (never half a character), then a 0 */
  int64_t room; /* 4,096 is enough for all but lists of mistakes */
  int64_t size; /* out: bytes of the whole text; 0: no error */
} grpo_embed_error;

/* [frozen] A text that the library made; data[size] is 0. */
typedef struct grpo_embed_text {
  const char* data;
  int64_t size;
  void* owner;
} grpo_embed_text;

/* [frozen] n texts in a row, as in Arrow's large_utf8: text i is the bytes [start[i], start[i + 1]) of data. Going in,
 * owner is not looked at, and bytes that are not UTF-8 are read as U+FFFD. */
typedef struct grpo_embed_texts {
  int64_t n;
  const char* data;     /* may be NULL where all are empty */
  const int64_t* start; /* [n + 1] not falling, from 0 or more */
  void* owner;
} grpo_embed_texts;

/* [frozen] n lists of token ids, packed in the same way. */
typedef struct grpo_embed_ids {
  int64_t n;
  const int32_t* id;    /* may be NULL where all are empty */
  const int64_t* start; /* [n + 1] */
  void* owner;
} grpo_embed_ids;

/* [any thread] The release of the library, "0.1.0". Result: [static]. */
GRPO_EMBED_API const char* grpo_embed_version(void);

/* [any thread] The GRPO_HEADER_REVISION that it was built with: fields that are newer than this are refused where they are
 * not 0. */
GRPO_EMBED_API uint32_t grpo_embed_header_revision(void);

/* [any thread] Takes back what a result's owner holds. NULL: nothing. */
GRPO_EMBED_API void grpo_embed_free(void* owner);

/* [any thread] GRPO_LOG_*: what plugins and trainers log from here up goes to standard error. At the start: WARNING. */
GRPO_EMBED_API void grpo_embed_set_log_level(int32_t level);

/* ---- plugins ---- */

typedef struct grpo_embed_plugins grpo_embed_plugins;

/* [any thread] Reads the manifests of all plugins in these directories (and below them; a single .so is fine too). No
 * code of theirs runs before one of them is opened. */
GRPO_EMBED_API grpo_status grpo_embed_plugins_open(const char* const* places, int64_t n, grpo_embed_plugins** plugins,
                                                   grpo_embed_error* error);

/* [any thread] {"plugins": [{"name", "version", "licence", "path", "components": [{"kind", "interface", "name",
 * "options": {...}, "offers": [...]}]}], "refused": [{"path", "reason"}]} */
GRPO_EMBED_API grpo_status grpo_embed_plugins_list(grpo_embed_plugins* plugins, grpo_embed_text* json, grpo_embed_error* error);

/* [one at a time per handle] What was opened from it stays open. */
GRPO_EMBED_API void grpo_embed_plugins_close(grpo_embed_plugins* plugins);

/* ---- text ---- */

typedef struct grpo_embed_tokenizer grpo_embed_tokenizer;

enum {
  GRPO_EMBED_ADD_SPECIAL = 1, /* encode: what the tokenizer puts around a text, such as a first token */
  GRPO_EMBED_PLAIN = 2,       /* encode: special tokens that stand in the text are plain text */
  GRPO_EMBED_SKIP_SPECIAL = 1 /* decode: leave special tokens out */
};

/* [any thread] From a model's directory in Hugging Face layout, or from a tokenizer.json. */
GRPO_EMBED_API grpo_status grpo_embed_tokenizer_open(const char* path, grpo_embed_tokenizer** tokenizer,
                                                     grpo_embed_error* error);

/* [any thread] {"vocabulary_size", "bos", "eos": [...], "pad"}; what there is not is null. */
GRPO_EMBED_API grpo_status grpo_embed_tokenizer_describe(const grpo_embed_tokenizer* tokenizer, grpo_embed_text* json,
                                                         grpo_embed_error* error);

/* [any thread] flags: GRPO_EMBED_ADD_SPECIAL, _PLAIN. */
GRPO_EMBED_API grpo_status grpo_embed_encode(const grpo_embed_tokenizer* tokenizer, const grpo_embed_texts* texts,
                                             uint32_t flags, grpo_embed_ids* ids, grpo_embed_error* error);

/* [any thread] flags: GRPO_EMBED_SKIP_SPECIAL. */
GRPO_EMBED_API grpo_status grpo_embed_decode(const grpo_embed_tokenizer* tokenizer, const grpo_embed_ids* ids, uint32_t flags,
                                             grpo_embed_texts* texts, grpo_embed_error* error);

/* [one at a time per handle] */
GRPO_EMBED_API void grpo_embed_tokenizer_close(grpo_embed_tokenizer* tokenizer);

typedef struct grpo_embed_template grpo_embed_template;

/* [any thread] A chat template, from one of the two, the other NULL. directory: a model's, for its template and special
 * tokens. source: the text of a template; special tokens then come with the `extra` of a rendering. */
GRPO_EMBED_API grpo_status grpo_embed_template_open(const char* directory, const char* source, grpo_embed_template** chat,
                                                    grpo_embed_error* error);

/* [any thread] messages: JSON, [{"role", "content", ...}]. tools: JSON or NULL. extra: further variables as a JSON object,
 * or NULL. add_generation_prompt not 0: end with the opening of an assistant's turn. */
GRPO_EMBED_API grpo_status grpo_embed_render(const grpo_embed_template* chat, const char* messages, const char* tools,
                                             const char* extra, int32_t add_generation_prompt, grpo_embed_text* text,
                                             grpo_embed_error* error);

/* [one at a time per handle] */
GRPO_EMBED_API void grpo_embed_template_close(grpo_embed_template* chat);

/* ---- answers to mathematical problems ---- */

enum {
  GRPO_EMBED_LAST_NUMBER = 1, /* extract: where nothing else is found, the last number */
  GRPO_EMBED_BOXED_ONLY = 2,  /* extract: \boxed alone */
  GRPO_EMBED_GOLD = 4         /* extract: the texts are records of a data set: one that holds no answer in such a form is
                                 the answer. Alone, and form is not written */
};

/* How an answer was found. */
enum {
  GRPO_EMBED_FORM_NONE = -1,
  GRPO_EMBED_FORM_BOXED = 0,      /* \boxed{...} */
  GRPO_EMBED_FORM_TAG = 1,        /* <answer>...</answer> */
  GRPO_EMBED_FORM_HASHES = 2,     /* #### ... */
  GRPO_EMBED_FORM_PHRASE = 3,     /* the answer is ... */
  GRPO_EMBED_FORM_LAST_NUMBER = 4 /* if asked for */
};

/* [any thread] The final answers. form [texts->n] may be NULL; a text without an answer gives NONE and an empty one. */
GRPO_EMBED_API grpo_status grpo_embed_extract(const grpo_embed_texts* texts, uint32_t flags, grpo_embed_texts* answers,
                                              int32_t* form, grpo_embed_error* error);

/* [any thread] equal [n]: 1 where a reader would take answer i for gold i. Both hold n texts, as extract gives them. */
GRPO_EMBED_API grpo_status grpo_embed_grade(const grpo_embed_texts* gold, const grpo_embed_texts* answers, int32_t* equal,
                                            grpo_embed_error* error);

/* ---- rewards ---- */

typedef struct grpo_embed_reward grpo_embed_reward;

/* [grows] The caller's, [call]. */
typedef struct grpo_embed_reward_wanted {
  uint32_t struct_size, flags;
  const char* name;                      /* "math" */
  const char* options;                   /* a JSON object, checked against the manifest; NULL: all defaults */
  const grpo_embed_tokenizer* tokenizer; /* offered to the plugin (grpo.tokenizer/1); NULL: none. May be closed earlier */
  const char* settings;                  /* a JSON object with further keys that an entry of the configuration's `rewards`
                                            has, and check_plugins of its `run`; NULL: none */
} grpo_embed_reward_wanted;

/* [grows] The caller's, [call]. A column of the data set. The one that `type` names is set. */
typedef struct grpo_embed_column {
  uint32_t struct_size, flags;
  const char* name;
  int32_t type, reserved;       /* GRPO_COLUMN_* */
  const grpo_embed_texts* text; /* TEXT, JSON (each a JSON text; empty: missing) */
  const int64_t* integer;       /* INTEGER */
  const double* number;         /* NUMBER; missing: NaN */
} grpo_embed_column;

/* [grows] The caller's, [call]. What may be NULL says so; [row] has n_rows elements, [sample] n_samples. */
typedef struct grpo_embed_batch {
  uint32_t struct_size, flags;
  int64_t n_rows, n_samples;            /* records, completions */
  const grpo_embed_texts* completion;   /* [sample] special tokens left out */
  const grpo_embed_texts* prompt;       /* [row]; NULL: empty */
  const grpo_embed_texts* messages;     /* [row] conversations as JSON; NULL or an empty one: none */
  const grpo_embed_texts* ground_truth; /* [row]; NULL or an empty one: none */
  const grpo_embed_ids* prompt_ids;     /* [row]; NULL: not known, which a reward sees as empty */
  const grpo_embed_ids* completion_ids; /* [sample]; NULL: as above */
  const int64_t* row;                   /* [sample] its row; NULL: n_samples / n_rows samples a row, in order */
  const int64_t* index;                 /* [sample] its place in its group; NULL: counted in each row */
  const int32_t* finish;                /* [sample] GRPO_FINISH_*; NULL: STOP */
  int64_t n_columns;
  const grpo_embed_column* const* columns; /* [n_columns] by row */
  int64_t step;                            /* of training, from 1; 0 outside */
  int64_t timeout_ns;                      /* 0: as the reward's settings say, else none */
} grpo_embed_batch;

/* [frozen] The parts of scores that a reward reported: value[c][i] of sample i, NaN where it said nothing. */
typedef struct grpo_embed_components {
  int64_t n;
  const char* const* name;    /* [n] */
  const double* const* value; /* [n][sample] */
  void* owner;
} grpo_embed_components;

/* [grows] The caller's, [call], and so is what it points to. All but score may be NULL. */
typedef struct grpo_embed_scores {
  uint32_t struct_size, flags;
  double* score;             /* [sample] NaN where status is not GRPO_SAMPLE_OK */
  int32_t* status;           /* [sample] GRPO_SAMPLE_* */
  grpo_embed_texts* message; /* [sample] why there is no score; empty: nothing to say */
  grpo_embed_components* components;
} grpo_embed_scores;

/* [any thread] Loads the plugin, if it is not loaded yet, and opens the reward. */
GRPO_EMBED_API grpo_status grpo_embed_reward_open(grpo_embed_plugins* plugins, const grpo_embed_reward_wanted* wanted,
                                                  grpo_embed_reward** reward, grpo_embed_error* error);

/* [any thread] {"name", "plugin", "version", "path", "options": {...}, "concurrent", "whole_groups", "whole_batch"} */
GRPO_EMBED_API grpo_status grpo_embed_reward_describe(const grpo_embed_reward* reward, grpo_embed_text* json,
                                                      grpo_embed_error* error);

/* [any thread] Calls of a reward that is not concurrent wait for each other. Whatever the plugin does wrong is told by
 * sample, with GRPO_STATUS_OK; a failure is the batch's: GRPO_STATUS_INVALID. With a time limit, a call that has not come
 * back after as long again (five seconds at least) is left behind with a thread of the library's: its samples are
 * GRPO_SAMPLE_TIMEOUT, and the reward goes on in a process of its own. */
GRPO_EMBED_API grpo_status grpo_embed_reward_score(grpo_embed_reward* reward, const grpo_embed_batch* batch,
                                                   const grpo_embed_scores* scores, grpo_embed_error* error);

/* [one at a time per handle] */
GRPO_EMBED_API void grpo_embed_reward_close(grpo_embed_reward* reward);

/* ---- advantages and objectives ---- */

/* [any thread] From rewards to advantages. kind: "group" (GRPO), "none" (Dr. GRPO), "batch", "rloo", "opo", "passk",
 * "reinforce_pp", "reinforce_pp_baseline", "gpg" (docs/algorithms.md), or TRL's and verl's names of them. Those that
 * count tokens ("opo", "reinforce_pp", "reinforce_pp_baseline") take a completion for one token; "gdpo", of several
 * rewards by themselves, is refused: grpo_embed_objective_row has it. rewards [n_samples], NaN: none applies; group g is
 * the samples [group_start[g], group_start[g + 1]), group_start [n_groups + 1]. epsilon is added to the deviation (TRL:
 * 1e-4). advantages [n_samples] may be the same array as rewards. statistics: as JSON by the metrics' names; may be NULL. */
GRPO_EMBED_API grpo_status grpo_embed_advantages(const char* kind, int64_t n_samples, const double* rewards, int64_t n_groups,
                                                 const int64_t* group_start, double epsilon, double* advantages,
                                                 grpo_embed_text* statistics, grpo_embed_error* error);

typedef struct grpo_embed_objective grpo_embed_objective;

/* [any thread] options: a JSON object with keys of the configuration's section `algorithm` (or TRL's and verl's names for
 * them): objective ("grpo", "bnpo", "dapo", "dr_grpo", "gspo", "gspo_token", "luspo", "gmpo", "cispo", "sapo", "vespo",
 * "clip_cov", "kl_cov", "dppo_tv", "dppo_kl", "gpg", "dro"), clip_low, clip_high, delta, kl_coefficient, kl_estimator,
 * kl_bias_correction, entropy_coefficient; beyond those, single parts of the objective: ratio, aggregation,
 * cispo_min_ratio, cispo_max_ratio, sapo_temperature_positive, sapo_temperature_negative, vespo_k_positive,
 * vespo_lambda_positive, vespo_k_negative, vespo_lambda_negative, clip_cov_ratio, clip_cov_low, clip_cov_high,
 * kl_cov_ratio, kl_cov_coefficient, dro_beta, log_ratio_limit, kl_limit. What acts before the objective
 * (rollout_correction, top_entropy_quantile and others) is refused with what to give instead. NULL: all defaults
 * ("dapo"). */
GRPO_EMBED_API grpo_status grpo_embed_objective_open(const char* options, grpo_embed_objective** objective,
                                                     grpo_embed_error* error);

enum { GRPO_EMBED_DOUBLE = 1 };

/* [grows] The caller's, [call]. Rows of tokens, ragged or padded: row i is the tokens [start[i], start[i + 1]). [token]
 * arrays hold fp32, or fp64 where flags say so; what may be NULL says so. */
typedef struct grpo_embed_tokens {
  uint32_t struct_size, flags; /* GRPO_EMBED_DOUBLE */
  int64_t n_rows;
  const int64_t* start;            /* [n_rows + 1]; start[0] is 0 */
  const void* logprob;             /* [token] under the policy that is trained */
  const void* old_logprob;         /* [token] at the start of the step; NULL: as logprob */
  const void* reference_logprob;   /* [token]; NULL: none, for a kl_coefficient of 0 */
  const void* sampled_logprob;     /* [token] as the sampler said; NULL: not known. For metrics alone */
  const void* entropy;             /* [token]; NULL: none, for an entropy_coefficient of 0 */
  const uint8_t* mask;             /* [token] 1: in the loss; NULL: all are */
  const double* advantage;         /* [row], or */
  const double* token_advantage;   /* [token], which wins */
  const double* policy_weight;     /* [token] factor on the policy term; NULL: ones */
  double total_rows, total_tokens; /* of the whole optimizer step, masked tokens alone; 0: those given here */
  double max_completion_length;    /* for dr_grpo alone, which divides by it */
} grpo_embed_tokens;

/* [grows] The caller's, [call], and so is what it points to. */
typedef struct grpo_embed_gradient {
  uint32_t struct_size, flags;
  double* loss;             /* one; the losses of an optimizer step's parts add up */
  void* logprob;            /* [token] dL/dlogprob, in the type of the tokens; 0 outside the mask. NULL: not wanted */
  void* entropy;            /* [token] dL/dentropy; NULL: not wanted */
  grpo_embed_text* metrics; /* {"loss", "kl", "clip_ratio/region_mean", ...}; NULL: not wanted */
} grpo_embed_gradient;

/* [any thread] */
GRPO_EMBED_API grpo_status grpo_embed_objective_evaluate(const grpo_embed_objective* objective, const grpo_embed_tokens* tokens,
                                                         const grpo_embed_gradient* gradient, grpo_embed_error* error);

/* [one at a time per handle] */
GRPO_EMBED_API void grpo_embed_objective_close(grpo_embed_objective* objective);

/* [any thread] The same from JSON to JSON under TRL's names and defaults, with TRL's corrections for what the sampler
 * said: what `grpo-host objective` does with a line. From "rewards", or "rewards_per_func" [row][reward] with
 * "reward_weights", "num_generations" and "scale_rewards" (every kind of advantage, "gdpo" too) it also gives
 * "advantages". */
GRPO_EMBED_API grpo_status grpo_embed_objective_row(const char* row, grpo_embed_text* json, grpo_embed_error* error);

/* ---- a trainer ---- */

typedef struct grpo_embed_trainer grpo_embed_trainer;

/* [grows] The caller's, [call]. */
typedef struct grpo_embed_trainer_wanted {
  uint32_t struct_size, flags;
  const char* stage;            /* "train" or "sft"; NULL: "train" */
  const char* config_path;      /* a YAML file; NULL: there is none */
  const char* config_text;      /* or its text; NULL: there is none */
  const char* config_base;      /* of config_text: what its paths are relative to; NULL: the current directory */
  const char* const* overrides; /* [n_overrides] "section.key=value" */
  const char* const* places;    /* [n_places] plugin directories, searched before those of the configuration */
  int64_t n_overrides, n_places;
  void* user; /* for on_step; must live until close */

  /* After each step, with the metrics as grpo_embed_trainer_step gives them; with step 0 for an evaluation before the
   * first. On the thread that called open or step, before that returns. NULL: not wanted. Not 0: the run is to end. */
  int32_t (*on_step)(void* user, int64_t step, const char* metrics); /* [one at a time per handle] */
} grpo_embed_trainer_wanted;

/* [any thread] Opens everything that the configuration names: data, model, sampler, rewards, optimizer, and resumes if it
 * says so. One trainer a process at a time. A thread of the trainer's own makes all calls to the model. */
GRPO_EMBED_API grpo_status grpo_embed_trainer_open(const grpo_embed_trainer_wanted* wanted, grpo_embed_trainer** trainer,
                                                   grpo_embed_error* error);

/* [one at a time per handle] One step: rollout, rewards, update, and the checkpoint or evaluation that is due. metrics: a
 * JSON object with "step"; may be NULL. GRPO_STATUS_END: the run was over already, and nothing was done. */
GRPO_EMBED_API grpo_status grpo_embed_trainer_step(grpo_embed_trainer* trainer, grpo_embed_text* metrics,
                                                   grpo_embed_error* error);

/* [one at a time per handle] A checkpoint of the steps done, in run.output_dir. path: may be NULL. */
GRPO_EMBED_API grpo_status grpo_embed_trainer_save(grpo_embed_trainer* trainer, grpo_embed_text* path, grpo_embed_error* error);

/* [one at a time per handle] {"stage", "step", "ended", "output_dir", "checkpoint" (the last one or
 * null), "config" (YAML)} */
GRPO_EMBED_API grpo_status grpo_embed_trainer_describe(grpo_embed_trainer* trainer, grpo_embed_text* json,
                                                       grpo_embed_error* error);

/* [one at a time per handle] Saves nothing. */
GRPO_EMBED_API void grpo_embed_trainer_close(grpo_embed_trainer* trainer);

#ifdef __cplusplus
}
#endif
#endif
