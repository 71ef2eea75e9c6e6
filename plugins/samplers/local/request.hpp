// request.hpp: a request that was taken from the feed, checked.
#ifndef LOCAL_REQUEST_HPP
#define LOCAL_REQUEST_HPP

#include <grpo/sampler.h>

#include <cstdint>

namespace local {

class sampler;

// The samples of one request. Its prompt is computed once, in the slot `home`, and forked from there.
struct group {
  const grpo_request* request = nullptr;  // gone once its last completion has been delivered
  uint64_t id = 0;                        // of the request, which done() and the search for a cancelled one outlive
  int64_t n_samples = 0;
  const grpo_sampling* sampling = nullptr;  // what the model's decoder is given
  grpo_sampling own{};                      // `sampling` points here when the decoder must not see all of the request's
  int64_t longest = 0;                      // new tokens of a sample, at most: by max_new and by positions
  int64_t home = -1;                        // the slot that holds the prompt alone; -1: none
  int64_t started = 0, delivered = 0;       // samples

  group() = default;
  group(const group&) = delete;
  group& operator=(const group&) = delete;

  bool waits() const { return started < n_samples; }
  bool done() const { return delivered == n_samples; }
};

// Fills an empty group. Throws grpo::failure, with a text that names the request, if this sampler or its model cannot
// do it.
void take_request(const sampler& s, const grpo_request& request, group& g);

}  // namespace local

#endif
