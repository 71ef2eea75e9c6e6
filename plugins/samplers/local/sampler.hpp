// sampler.hpp: the handle, what stays from one generate to the next.
#ifndef LOCAL_SAMPLER_HPP
#define LOCAL_SAMPLER_HPP

#include <cstdint>
#include <grpo/sampler.hpp>
#include <limits>
#include <memory>
#include <vector>

#include "cache.hpp"

namespace local {

// From the manifest; ranges checked there and in open.
struct settings {
  int64_t slots = 64;         // sequences at once
  int64_t cache_tokens = 0;   // 0: as the requests need
  int64_t room = 0;           // tokens a step may make for a slot; 0: by where the model is
  int64_t prefill_chunk = 0;  // prompt tokens in one call; 0: likewise
};

struct group;

// The sample that a slot is making. Its arrays are kept for the next one.
struct row {
  group* of = nullptr;  // nullptr: none
  int64_t index = 0;    // which sample of the group
  int64_t n = 0;        // tokens so far
  int64_t capacity = 0;
  std::unique_ptr<int32_t[]> ids;
  std::unique_ptr<float[]> logprob, sampled;

  // Room for `tokens` of them. The arrays are not cleared: the system hands out their pages as they fill.
  void reserve(int64_t tokens);
};

class sampler : public grpo::bound_sampler {
 public:
  sampler(grpo::options options, grpo::host host);
  void bind(const grpo_sampler_binding& to, const grpo::call& call);
  void generate(grpo::feed& feed, const grpo::call& call);

  using grpo::bound_sampler::open_session, grpo::bound_sampler::take_cancels, grpo::bound_sampler::version;

  settings set;
  grpo::host host;
  int64_t max_positions = 0, vocabulary = 0;  // of the model
  int64_t room = 1, prefill_chunk = 1;        // as set, or by the model; room is within what the decoder takes
  local::cache cache;
  int64_t cache_limit = std::numeric_limits<int64_t>::max();  // so many tokens were refused once
  std::vector<row> rows;                                      // [slots]
};

}  // namespace local

#endif
