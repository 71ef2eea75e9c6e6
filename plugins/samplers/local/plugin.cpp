// samplers/local: a sampler in the process of the model. It drives the bound model's grpo.decode/1 with continuous
// batching and reads the model's own weights, so it needs no updates.
#include <grpo/sampler.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "failure.hpp"
#include "generation.hpp"
#include "sampler.hpp"

GRPO_MANIFEST({
  "name": "sampler_local", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.sampler/1", "name": "local", "options": {
    "slots": {"type": "integer", "default": 64, "minimum": 1,
      "description": "sequences that are generated at once; more are faster until the machine is busy, and need more cache"},
    "cache_tokens": {"type": "integer", "default": 0, "minimum": 0,
      "description": "tokens of cache over all slots, prompts shared by a group counted once; 0: as the requests need"},
    "room": {"type": "integer", "default": 8, "minimum": 1,
      "description": "tokens a step makes for a sequence before the sampler looks again; completions do not depend on it"},
    "prefill_chunk": {"type": "integer", "default": 512, "minimum": 1,
      "description": "prompt tokens computed in one call; fewer need less memory"}}}]
});

namespace local {

void row::reserve(int64_t tokens) {
  if (tokens <= capacity) return;
  const auto n = static_cast<std::size_t>(tokens);
  ids.reset(new int32_t[n]);
  logprob.reset(new float[n]);
  sampled.reset(new float[n]);
  capacity = tokens;
}

void sampler::cancel(uint64_t request) noexcept {
  try {
    std::lock_guard lock(mutex_);
    cancels_.push_back(request);
    any_cancel_.store(true, std::memory_order_release);
  } catch (...) {  // out of memory: the request runs to its own end, which the contract allows
  }
}

void sampler::take_cancels(std::vector<uint64_t>& ids) {
  ids.clear();
  if (!any_cancel_.load(std::memory_order_acquire)) return;
  std::lock_guard lock(mutex_);
  std::swap(ids, cancels_);
  any_cancel_.store(false, std::memory_order_relaxed);
}

namespace {

int64_t setting(const grpo_options* options, const char* key, int64_t otherwise, int64_t least, int64_t most) {
  const int64_t value = grpo_option_integer(options, key, otherwise);
  if (value < least || value > most)
    throw failure{GRPO_STATUS_INVALID, "sampler local: option " + std::string(key) + " is " + std::to_string(value) +
                                           ", and must be in " + std::to_string(least) + " .. " + std::to_string(most)};
  return value;
}

grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) {
  return guarded(call, [&] {
    auto s = std::make_unique<sampler>();
    s->set.slots = setting(options, "slots", s->set.slots, 1, 1 << 20);
    s->set.cache_tokens = setting(options, "cache_tokens", s->set.cache_tokens, 0, int64_t{1} << 48);
    s->set.room = setting(options, "room", s->set.room, 1, 1 << 16);
    s->set.prefill_chunk = setting(options, "prefill_chunk", s->set.prefill_chunk, 1, 1 << 24);
    s->rows.resize(static_cast<std::size_t>(s->set.slots));
    s->log = static_cast<const grpo_log*>(call->service(call, GRPO_LOG_ID));
    s->tokenizer = static_cast<const grpo_tokenizer*>(call->service(call, GRPO_TOKENIZER_ID));
    s->info.struct_size = sizeof s->info;
    s->info.flags = GRPO_SAMPLER_BINDS;
    s->info.logprob_kind = GRPO_LOGPROB_TEMPERED;
    if (s->tokenizer) s->info.sampling = GRPO_SAMPLING_STOP_TEXT;
    *handle = s.release();
  });
}

void close(void* handle) { delete static_cast<sampler*>(handle); }

const grpo_sampler_info* describe(void* handle) { return &static_cast<sampler*>(handle)->info; }

grpo_status bind(void* handle, const grpo_call* call, const grpo_sampler_binding* binding) {
  return guarded(call, [&] {
    auto& s = *static_cast<sampler*>(handle);
    if (s.bound) throw failure{GRPO_STATUS_INVALID, "sampler local: bind was called before"};
    if (!binding->decode_table)
      throw failure{GRPO_STATUS_UNSUPPORTED,
                    "sampler local: this model offers no grpo.decode/1: choose another model, or a sampler with an "
                    "engine of its own"};
    const grpo_model_info* model = binding->model_table->describe(binding->model);
    const grpo_decode_info* decode = binding->decode_table->describe(binding->model);
    s.max_positions = model->max_positions;
    s.vocabulary = model->vocabulary;
    s.room = decode->max_room > 0 ? std::min<int64_t>(s.set.room, decode->max_room) : s.set.room;
    s.info.sampling |= decode->sampling;
    s.cache.bind(binding->decode_table, binding->model);
    s.bound = binding;
  });
}

grpo_status generate(void* handle, const grpo_call* call, const grpo_feed* feed) {
  auto& s = *static_cast<sampler*>(handle);
  const grpo_status status = guarded(call, [&] {
    if (!s.bound) throw failure{GRPO_STATUS_INVALID, "sampler local: bind comes before generate"};
    generation(s, call, feed).run();
  });
  // After a failure nothing is taken for granted about the session; the next call opens another.
  if (status != GRPO_STATUS_OK) s.cache.close();
  return status;
}

void cancel(void* handle, uint64_t request) { static_cast<sampler*>(handle)->cancel(request); }

// No slot outlives a call of generate, so no cached token does either: the version is all there is to note.
void model_changed(void* handle, int64_t version) { static_cast<sampler*>(handle)->version = version; }

constexpr grpo_sampler make_table() {
  grpo_sampler t{};
  t.struct_size = sizeof t;
  t.open = open;
  t.close = close;
  t.describe = describe;
  t.bind = bind;
  t.generate = generate;
  t.cancel = cancel;
  t.model_changed = model_changed;
  return t;
}
constexpr grpo_sampler table = make_table();

}  // namespace
}  // namespace local

GRPO_PLUGIN_ONE(GRPO_SAMPLER_ID, "local", &local::table);
