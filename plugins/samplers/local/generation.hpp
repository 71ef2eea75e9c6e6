// generation.hpp: one call of generate, the scheduler.
//
// Main idea. A round takes what the feed has, starts as many samples as slots and cache allow, makes up to `room`
// tokens for every live sample in one step of the decoder, and delivers those that ended; their slots take new samples
// in the next round. A sample is started only when the cache can hold it to its end beside the others, so none is ever
// thrown out, and requests that do not fit wait.
#ifndef LOCAL_GENERATION_HPP
#define LOCAL_GENERATION_HPP

#include <list>
#include <vector>

#include "request.hpp"
#include "sampler.hpp"
#include "stop_text.hpp"

namespace local {

class generation {
 public:
  generation(sampler& s, const grpo::call& call, grpo::feed& feed);
  ~generation();  // empties every slot, whatever happened
  generation(const generation&) = delete;
  generation& operator=(const generation&) = delete;

  // Returns when the feed has ended and everything is delivered. Throws grpo::failure.
  void run();

 private:
  // A round, in order.
  void obey_cancels();
  void pull();
  void prepare_cache();
  void start_samples();
  void step();

  // prepare_cache
  group* first_waiting();
  int64_t demand() const;
  void open_cache(const group& head, int64_t minimum);

  // start_samples
  void place(group& g, int64_t& budget);
  void start(group& g, int64_t slot);
  void prefill();

  // step
  int64_t room() const;
  int32_t append(row& r, std::size_t made);

  void finish(int64_t slot, int32_t how);
  void deliver(const group& g, int64_t index, const row* r, int32_t how);
  void release_finished();
  row& row_of(int64_t slot) { return s_.rows[static_cast<std::size_t>(slot)]; }
  const row& row_of(int64_t slot) const { return s_.rows[static_cast<std::size_t>(slot)]; }

  sampler& s_;
  const grpo::call& call_;
  grpo::feed& feed_;
  std::list<group> groups_;    // in the order of the feed
  int64_t waiting_ = 0;        // samples of `groups_` that have not started
  int64_t promised_ = 0;       // tokens that the live samples may still add
  std::vector<int64_t> live_;  // slots that are generating

  // What a round starts; kept for their memory.
  std::vector<const grpo_request*> prompts_;  // to be computed ...
  std::vector<int64_t> prompt_slot_;          // ... in these slots
  std::vector<int64_t> fork_from_, fork_to_, started_, finished_;
  std::vector<uint64_t> keys_, cancels_;
  std::vector<const grpo_sampling*> samplings_;
  std::vector<int64_t> chunk_slot_, chunk_start_;
  std::vector<int32_t> chunk_token_;

  grpo::decoded made_;  // by the last step, in the order of live_
  stop_text_finder stop_texts_;
};

}  // namespace local

#endif
