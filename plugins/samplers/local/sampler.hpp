// sampler.hpp: the handle, what stays from one generate to the next.
#ifndef LOCAL_SAMPLER_HPP
#define LOCAL_SAMPLER_HPP

#include <grpo/host.h>
#include <grpo/sampler.h>

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <vector>

#include "cache.hpp"

namespace local {

// From the manifest; ranges checked there and in open.
struct settings {
  int64_t slots = 64;           // sequences at once
  int64_t cache_tokens = 0;     // 0: as the requests need
  int64_t room = 8;             // tokens a step may make for a slot
  int64_t prefill_chunk = 512;  // prompt tokens in one call
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

struct sampler {
  settings set;
  grpo_sampler_info info{};
  const grpo_log* log = nullptr;              // NULL: the host has none
  const grpo_tokenizer* tokenizer = nullptr;  // NULL: the host has none, and stop texts are refused
  const grpo_sampler_binding* bound = nullptr;
  int64_t max_positions = 0, vocabulary = 0;  // of the model
  int64_t version = 0;                        // of the model's weights
  int64_t room = 1;                           // set.room, within what the decoder takes
  local::cache cache;
  int64_t cache_limit = std::numeric_limits<int64_t>::max();  // so many tokens were refused once
  std::vector<row> rows;                                      // [slots]

  // Asks for the end of a request. [any thread]
  void cancel(uint64_t request) noexcept;
  // The ids asked for since the last time.
  void take_cancels(std::vector<uint64_t>& ids);

 private:
  std::mutex mutex_;
  std::vector<uint64_t> cancels_;
  std::atomic<bool> any_cancel_{false};
};

}  // namespace local

#endif
