/* A host in C: drives a reward, a model, a sampler and an optimizer, and prints what came of it.
 *
 *     host REWARD.so MODEL.so SAMPLER.so OPTIMIZER.so [ABI_MIN ABI_MAX]
 *
 * Built with the recorded headers and with later ones (see `later`), it runs plugins built with either; what it prints
 * is the same each time, but for the lines that start with #. Built with later headers its structs are longer than a
 * recorded plugin's, whose tables and descriptions in turn are shorter than its own: it sets the new field to 7 for
 * plugins that have it, and finds 9 in what they give. */
#include <dlfcn.h>
#include <grpo/decode.h>
#include <grpo/optimizer.h>
#include <grpo/random.h>
#include <grpo/reward.h>
#include <grpo/sampler.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const char* path;
  const grpo_plugin* plugin;
  const grpo_component* component;
  const grpo_table* table;
  void* handle;
} loaded;

static void stop(const char* what, const char* why) {
  printf("stopped: %s: %s\n", what, why);
  exit(1);
}

#ifdef COMPAT_LATER
static int finds; /* fields of the later revision that were looked at, in what plugins gave */
#define GIVE(to, s) ((s)->later = (to)->plugin->header_revision >= GRPO_HEADER_REVISION ? 7 : 0)
#define FIND(from, p)                                                                                \
  do {                                                                                               \
    const int later = (from)->plugin->header_revision >= GRPO_HEADER_REVISION;                       \
    if (GRPO_HAS(p, later) != later || (later && (p)->later != 9)) stop((from)->path, #p "->later"); \
    ++finds;                                                                                         \
  } while (0)
#define FIND_CALL(from, t)                                                                            \
  do {                                                                                                \
    uint64_t out = 0;                                                                                 \
    const int later = (from)->plugin->header_revision >= GRPO_HEADER_REVISION;                        \
    if (GRPO_HAS(t, later_call) != later || (later && ((t)->later_call(41, &out) != 0 || out != 42))) \
      stop((from)->path, #t "->later_call");                                                          \
    ++finds;                                                                                          \
  } while (0)
#else
static const int finds = 0;
#define GIVE(to, s) (void)(to)
#define FIND(from, p) (void)(from)
#define FIND_CALL(from, t) (void)(from)
#endif

/* One call: memory for results, and the text of a failure. */
static char failure[512];
static void* memory[256];
static int n_memory;

static int32_t call_cancelled(const grpo_call* c) { return (void)c, 0; }
static void* call_alloc(const grpo_call* c, int64_t size) {
  const size_t whole = ((size_t)size + 63) / 64 * 64 + 64;
  void* p = n_memory < 256 ? aligned_alloc(64, whole) : NULL;
  if (p) memory[n_memory++] = memset(p, 0, whole);
  return (void)c, p;
}
static grpo_status call_fail(const grpo_call* c, grpo_status status, const char* text, int64_t size) {
  if (!failure[0]) snprintf(failure, sizeof failure, "%.*s", (int)size, text);
  return (void)c, status;
}
static void call_progress(const grpo_call* c, double done, double total) { (void)c, (void)done, (void)total; }
static const void* call_service(const grpo_call* c, const char* id) { return (void)c, (void)id, NULL; }

static const grpo_call* call_for(const loaded* p) {
  static grpo_call call;
  memset(&call, 0, sizeof call);
  call.struct_size = sizeof call;
  call.cancelled = call_cancelled;
  call.alloc = call_alloc;
  call.fail = call_fail;
  call.progress = call_progress;
  call.service = call_service;
  GIVE(p, &call);
  while (n_memory) free(memory[--n_memory]);
  failure[0] = 0;
  return &call;
}
static void need(grpo_status status, const char* what) {
  if (status) stop(what, failure[0] ? failure : "no text");
}

static int32_t no_number(const grpo_options* o, const char* k, double* v) { return (void)o, (void)k, (void)v, 0; }
static int32_t no_integer(const grpo_options* o, const char* k, int64_t* v) { return (void)o, (void)k, (void)v, 0; }
static int32_t no_text(const grpo_options* o, const char* k, grpo_str* v) { return (void)o, (void)k, (void)v, 0; }

static void refused(const grpo_host* host, const char* text, int64_t size) {
  (void)host, printf("refused: %.*s\n", (int)size, text);
}

/* least: the size of the table in revision 1. */
static loaded load(const char* path, const char* id, size_t least, uint32_t abi_min, uint32_t abi_max) {
  static grpo_host host = {
      .struct_size = sizeof host, .header_revision = GRPO_HEADER_REVISION, .name = "compat host", .refuse = refused};
  loaded p = {.path = path};
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) stop(path, dlerror());
  grpo_plugin_entry_fn* entry = NULL;
  void* symbol = dlsym(library, "grpo_plugin_entry");
  memcpy(&entry, &symbol, sizeof entry);
  host.abi_min = abi_min;
  host.abi_max = abi_max;
  if (!entry || !(p.plugin = entry(&host))) stop(path, "no plugin");
  FIND(&p, p.plugin);
  for (uint32_t i = 0; i < p.plugin->n_components; ++i) /* interfaces that it does not know are skipped */
    if (!strcmp(p.plugin->components[i]->interface_id, id)) p.component = p.plugin->components[i];
  if (!p.component) stop(path, "has no such interface");
  p.table = p.component->table;
  if (p.table->struct_size < least) stop(path, "its table is too short");
  printf("# %s: revision %u, %u components, table of %u bytes\n", id, p.plugin->header_revision, p.plugin->n_components,
         p.table->struct_size);
  grpo_options options = {.struct_size = sizeof options,
                          .json = {"{}", 2},
                          .number = no_number,
                          .integer = no_integer,
                          .text = no_text,
                          .component = p.component};
  GIVE(&p, &options);
  need(p.table->open(call_for(&p), &options, &p.handle), "open");
  return p;
}

static double* component_column(const grpo_reward_result* r, const char* name) {
  return strcmp(name, "format") ? NULL : r->host;
}

static void score(const loaded* p) {
  const grpo_reward* t = (const grpo_reward*)p->table;
  const grpo_str prompt = {"2 + 3", 5}, truth = {"5", 1}, none = {"", 0};
  const grpo_str completion[3] = {{"\\boxed{5}", 9}, {"\\boxed{6}", 9}, {"five", 4}};
  const int64_t prompt_start[2] = {0, 3}, row[3] = {0, 0, 0}, index[3] = {0, 1, 2}, start[4] = {0, 1, 2, 3}, level = 4;
  const int32_t ids[3] = {1, 2, 3}, finish[3] = {GRPO_FINISH_STOP, GRPO_FINISH_STOP, GRPO_FINISH_LENGTH};
  grpo_column column = {.struct_size = sizeof column, .name = "level", .type = GRPO_COLUMN_INTEGER, .integer = &level};
  const grpo_column* columns[1] = {&column};
  grpo_reward_batch batch = {.struct_size = sizeof batch,
                             .n_rows = 1,
                             .n_samples = 3,
                             .step = 1,
                             .prompt = &prompt,
                             .messages = &none,
                             .ground_truth = &truth,
                             .prompt_start = prompt_start,
                             .prompt_ids = ids,
                             .n_columns = 1,
                             .columns = columns,
                             .row = row,
                             .index = index,
                             .completion = completion,
                             .finish = finish,
                             .completion_start = start,
                             .completion_ids = ids};
  double scores[3] = {NAN, NAN, NAN}, format[3] = {NAN, NAN, NAN};
  int32_t status[3] = {0};
  grpo_str message[3] = {{"", 0}, {"", 0}, {"", 0}};
  grpo_reward_result result = {.struct_size = sizeof result,
                               .host = format,
                               .score = scores,
                               .status = status,
                               .message = message,
                               .component = component_column};
  GIVE(p, &column);
  GIVE(p, &batch);
  GIVE(p, &result);
  FIND_CALL(p, t);
  need(t->score(p->handle, call_for(p), &batch, &result), "score");
  printf("scores %g %g %g, format %g %g %g\n", scores[0], scores[1], scores[2], format[0], format[1], format[2]);
}

/* Prompt 5 6 7, answers 8 9 and 10: a forest of three nodes, and gradients for half of each log-probability. */
static void train(const loaded* p, int step) {
  const grpo_model* t = (const grpo_model*)p->table;
  const int32_t token[6] = {5, 6, 7, 8, 9, 10}, target_token[3] = {8, 9, 10};
  const int64_t node_start[4] = {0, 3, 5, 6}, parent[3] = {-1, 0, 0}, target_at[3] = {2, 3, 2};
  const float dlogprob[3] = {-0.5f, -0.5f, -0.5f};
  float logprob[3], entropy[3];
  uint64_t ticket = 0;
  grpo_forest forest = {.struct_size = sizeof forest,
                        .n_tokens = 6,
                        .n_nodes = 3,
                        .token = token,
                        .node_start = node_start,
                        .parent = parent};
  grpo_forward forward = {.struct_size = sizeof forward,
                          .flags = GRPO_FORWARD_TRAIN,
                          .forest = &forest,
                          .temperature = 0.9,
                          .n_targets = 3,
                          .target_at = target_at,
                          .target_token = target_token,
                          .logprob = logprob,
                          .entropy = entropy,
                          .ticket = &ticket};
  grpo_backward backward = {.struct_size = sizeof backward, .dlogprob = dlogprob};
  GIVE(p, &forest);
  GIVE(p, &forward);
  GIVE(p, &backward);
  need(t->zero_grad(p->handle, call_for(p)), "zero_grad");
  need(t->forward(p->handle, call_for(p), &forward), "forward");
  backward.ticket = ticket;
  need(t->backward(p->handle, call_for(p), &backward), "backward");
  printf("step %d: log-probabilities %.6f %.6f %.6f, entropy %.6f\n", step, logprob[0], logprob[1], logprob[2],
         entropy[0]);
}

static void optimize(const loaded* m, const loaded* o) {
  const grpo_model* model = (const grpo_model*)m->table;
  const grpo_optimizer* t = (const grpo_optimizer*)o->table;
  const grpo_parameter* const* parameters = NULL;
  const grpo_named_tensor* const* state = NULL;
  int64_t n = 0, n_state = 0;
  need(model->parameters(m->handle, call_for(m), &n, &parameters), "parameters");
  FIND(m, parameters[0]);
  FIND(m, parameters[0]->value);
  grpo_slice slice = {.struct_size = sizeof slice,
                      .name = parameters[0]->name,
                      .whole_ndim = parameters[0]->value->dl.ndim,
                      .whole_shape = parameters[0]->value->dl.shape,
                      .value = parameters[0]->value,
                      .gradient = parameters[0]->gradient};
  const grpo_slice* slices[1] = {&slice};
  GIVE(o, &slice);
  FIND_CALL(o, t);
  need(t->bind(o->handle, call_for(o), 1, slices), "bind");
  for (int step = 1; step <= 2; ++step) {
    double norm = 0;
    grpo_optimizer_step s = {.struct_size = sizeof s, .step = step, .learning_rate = 0.1, .gradient_scale = 1};
    GIVE(o, &s);
    train(m, step);
    need(t->squared_norm(o->handle, call_for(o), &norm), "squared_norm");
    need(t->step(o->handle, call_for(o), &s), "step");
    need(model->commit(m->handle, call_for(m), step), "commit");
    printf("squared norm %.6f\n", norm);
  }
  need(t->state(o->handle, call_for(o), &n_state, &state), "state");
  FIND(o, state[0]);
  FIND(o, state[0]->tensor);
  printf("%lld parameter, state %s %s\n", (long long)n, state[0]->name, state[1]->name);
}

/* Two requests of two samples each. */
typedef struct {
  const loaded* sampler;
  grpo_request request[2];
  int given, done;
  int64_t n[2][2];
  int32_t ids[2][2][16];
  float logprob[2][2][16];
} feed_state;

static grpo_status feed_next(const grpo_feed* feed, const grpo_call* call, int64_t wait_ns,
                             const grpo_request** request) {
  feed_state* f = feed->host;
  (void)call, (void)wait_ns;
  if (f->given == 2) return GRPO_STATUS_END;
  *request = &f->request[f->given++];
  return GRPO_STATUS_OK;
}
static grpo_status feed_deliver(const grpo_feed* feed, const grpo_call* call, const grpo_completion* c) {
  feed_state* f = feed->host;
  if (c->n > 16) return grpo_fail(call, GRPO_STATUS_INVALID, "longer than asked for");
#ifdef COMPAT_LATER /* the fake makes it, and leaves the field at its default */
  if (GRPO_HAS(c, later) != (f->sampler->plugin->header_revision >= GRPO_HEADER_REVISION) ||
      (GRPO_HAS(c, later) && c->later))
    stop("completion", "later");
  ++finds;
#endif
  f->n[c->request][c->index] = c->n;
  memcpy(f->ids[c->request][c->index], c->ids, (size_t)c->n * sizeof *c->ids);
  memcpy(f->logprob[c->request][c->index], c->logprob, (size_t)c->n * sizeof *c->logprob);
  ++f->done;
  return GRPO_STATUS_OK;
}

static void sample(const loaded* m, const loaded* s) {
  const grpo_sampler* t = (const grpo_sampler*)s->table;
  const grpo_decode* decode = m->table->query(m->handle, GRPO_DECODE_ID);
  const int32_t prompt[2][3] = {{5, 6, 7}, {9, 8, 7}}, stop_id = 0;
  grpo_sampler_binding binding = {.struct_size = sizeof binding,
                                  .model = m->handle,
                                  .model_table = (const grpo_model*)m->table,
                                  .decode_table = decode,
                                  .model_revision = m->plugin->header_revision};
  grpo_sampling sampling = {
      .struct_size = sizeof sampling, .temperature = 0.9, .top_p = 0.95, .max_new = 12, .n_stop = 1, .stop = &stop_id};
  static feed_state f;
  grpo_feed feed = {.struct_size = sizeof feed, .host = &f, .next = feed_next, .deliver = feed_deliver};
  f.sampler = s;
  for (uint64_t i = 0; i < 2; ++i) {
    grpo_request* r = &f.request[i];
    r->struct_size = sizeof *r;
    r->id = i;
    r->key = grpo_random_key(42, i);
    r->n_prompt = 3;
    r->n_samples = 2;
    r->prompt = prompt[i];
    r->sampling = &sampling;
    GIVE(s, r);
  }
  GIVE(s, &binding);
  GIVE(s, &sampling);
  GIVE(s, &feed);
  FIND_CALL(s, t);
  FIND_CALL(m, decode);
  need(t->bind(s->handle, call_for(s), &binding), "bind");
  FIND(s, t->describe(s->handle));
  t->model_changed(s->handle, 2);
  need(t->generate(s->handle, call_for(s), &feed), "generate");
  for (int i = 0; i < 4; ++i) {
    printf("request %d sample %d:", i / 2, i % 2);
    for (int64_t k = 0; k < f.n[i / 2][i % 2]; ++k) printf(" %d", f.ids[i / 2][i % 2][k]);
    printf(" (first log-probability %.6f)\n", f.logprob[i / 2][i % 2][0]);
  }
  printf("%d completions\n", f.done);
}

/* Weights out, and in again. */
static float kept[1024 * 64];
static int64_t kept_shape[2] = {1024, 64};

static grpo_status keep(const grpo_tensor_sink* sink, const grpo_call* call, int64_t n,
                        const grpo_named_tensor* const* list) {
  (void)sink, (void)call;
  if (n != 1) return GRPO_STATUS_INVALID;
  memcpy(kept, (char*)list[0]->tensor->dl.data + list[0]->tensor->dl.byte_offset, sizeof kept);
  return GRPO_STATUS_OK;
}
static grpo_status give(const grpo_tensor_source* source, const grpo_call* call, const char* name,
                        const grpo_tensor** tensor) {
  (void)call, (void)name;
  *tensor = source->owner;
  return GRPO_STATUS_OK;
}
static void carry(const loaded* m) {
  const grpo_model* t = (const grpo_model*)m->table;
  const char* names[1] = {"table.weight"};
  grpo_tensor tensor = {.struct_size = sizeof tensor,
                        .dl = {kept, GRPO_DEVICE_CPU, 0, 2, GRPO_TYPE_FLOAT, 32, 1, kept_shape, NULL, 0}};
  grpo_tensor_sink sink = {.struct_size = sizeof sink, .put = keep};
  grpo_tensor_source source = {.struct_size = sizeof source, .owner = &tensor, .n = 1, .names = names, .get = give};
  GIVE(m, &tensor);
  GIVE(m, &sink);
  GIVE(m, &source);
  FIND_CALL(m, t);
  FIND(m, t->describe(m->handle));
  need(t->export_weights(m->handle, call_for(m), &sink), "export_weights");
  double sum = 0;
  for (int i = 0; i < 1024 * 64; ++i) sum += fabs((double)kept[i]);
  need(t->import_weights(m->handle, call_for(m), 3, &source), "import_weights");
  printf("weights %.6f\n", sum);
}

int main(int argc, char** argv) {
  if (argc < 5) stop("usage", "host REWARD.so MODEL.so SAMPLER.so OPTIMIZER.so [ABI_MIN ABI_MAX]");
  const uint32_t abi_min = argc > 6 ? (uint32_t)atoi(argv[5]) : GRPO_ABI,
                 abi_max = argc > 6 ? (uint32_t)atoi(argv[6]) : GRPO_ABI;
  loaded reward = load(argv[1], GRPO_REWARD_ID, GRPO_SIZE_TO(grpo_reward, score), abi_min, abi_max),
         model = load(argv[2], GRPO_MODEL_ID, GRPO_SIZE_TO(grpo_model, import_weights), abi_min, abi_max);
  loaded sampler = load(argv[3], GRPO_SAMPLER_ID, GRPO_SIZE_TO(grpo_sampler, model_changed), abi_min, abi_max),
         optimizer = load(argv[4], GRPO_OPTIMIZER_ID, GRPO_SIZE_TO(grpo_optimizer, state_written), abi_min, abi_max);
  score(&reward);
  optimize(&model, &optimizer);
  sample(&model, &sampler);
  carry(&model);
  const loaded* all[4] = {&reward, &optimizer, &sampler, &model};
  for (int i = 0; i < 4; ++i) all[i]->table->close(all[i]->handle);
  call_for(&reward);
  printf("# this host: revision %d, %d fields and functions of a later one looked at\n", GRPO_HEADER_REVISION, finds);
  return 0;
}
