// samplers/local: a sampler in the process of the model. It drives the bound model's grpo.decode/1 with continuous
// batching and reads the model's own weights, so it needs no updates.
#include <algorithm>
#include <grpo/sampler.hpp>

#include "generation.hpp"
#include "sampler.hpp"

GRPO_MANIFEST({
  "name": "sampler_local", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.sampler/1", "name": "local", "options": {
    "slots": {"type": "integer", "default": 64, "minimum": 1,
      "description": "sequences that are generated at once; more are faster until the machine is busy, and need more cache"},
    "cache_tokens": {"type": "integer", "default": 0, "minimum": 0,
      "description": "tokens of cache over all slots, prompts shared by a group counted once; 0: as the requests need"},
    "room": {"type": "integer", "default": 0, "minimum": 0,
      "description": "tokens a step makes for a sequence before the sampler looks again; completions do not depend on it. 0: 8, and 32 where the model is on a device, which is waited for at every look"},
    "prefill_chunk": {"type": "integer", "default": 0, "minimum": 0,
      "description": "prompt tokens computed in one call; fewer need less memory. 0: 512, and 4096 where the model is on a device"}}}]
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

sampler::sampler(grpo::options o, grpo::host from) : host(from) {
  set.slots = o.integer("slots", set.slots, 1, 1 << 20);
  set.cache_tokens = o.integer("cache_tokens", set.cache_tokens, 0, int64_t{1} << 48);
  set.room = o.integer("room", set.room, 0, 1 << 16);
  set.prefill_chunk = o.integer("prefill_chunk", set.prefill_chunk, 0, 1 << 24);
  rows.resize(static_cast<std::size_t>(set.slots));
  if (host.tokenizer()) info_.sampling = GRPO_SAMPLING_STOP_TEXT;
}

void sampler::bind(const grpo_sampler_binding& to, const grpo::call& call) {
  bound_sampler::bind(to, call);
  max_positions = model().max_positions;
  vocabulary = model().vocabulary;
  const bool on_device = model().device_type != GRPO_DEVICE_CPU;
  room = set.room > 0 ? set.room : on_device ? 32 : 8;
  if (decoder().max_room > 0) room = std::min<int64_t>(room, decoder().max_room);
  prefill_chunk = set.prefill_chunk > 0 ? set.prefill_chunk : on_device ? 4096 : 512;
}

void sampler::generate(grpo::feed& feed, const grpo::call& call) {
  try {
    generation(*this, call, feed).run();
  } catch (...) {
    cache.close();  // nothing is taken for granted about the session; the next call opens another
    throw;
  }
}

}  // namespace local

GRPO_SAMPLER(local::sampler, "local");
