// cache.hpp: a session of the model's decoder and its free slots.
//
// One session serves many calls of generate. It is opened anew only when a request needs more than it has, and only
// while no slot is in use, because a session cannot grow.
#ifndef LOCAL_CACHE_HPP
#define LOCAL_CACHE_HPP

#include <grpo/decode.h>

#include <string>
#include <vector>

namespace local {

class cache {
 public:
  cache() = default;
  cache(const cache&) = delete;
  cache& operator=(const cache&) = delete;
  ~cache() { close(); }

  void bind(const grpo_decode* table, void* model) { table_ = table, model_ = model; }

  // Closes the session, if there is one, and opens another. GRPO_STATUS_NO_MEMORY: the model's words in `why`, which
  // are not yet an error of the call: the caller may ask for less. Other failures are thrown.
  grpo_status open(const grpo_call* call, int64_t slots, int64_t tokens, std::string& why);
  void close();

  bool is_open() const { return session_ != nullptr; }
  int64_t tokens() const { return tokens_; }  // asked for in open
  int64_t free_tokens() const { return table_->free_tokens(session_); }

  bool has_free_slot() const { return !free_.empty(); }
  int64_t take_slot();
  void release(const std::vector<int64_t>& slots);
  void release_all();

  void prefill(const grpo_call* call, const grpo_decode_prefill& a);
  void fork(const grpo_call* call, const grpo_decode_fork& a);
  void assign(const grpo_call* call, const grpo_decode_assign& a);
  void step(const grpo_call* call, const grpo_decode_step& a);

 private:
  const grpo_decode* table_ = nullptr;
  void* model_ = nullptr;
  void* session_ = nullptr;
  int64_t tokens_ = 0;
  std::vector<int64_t> free_;
  std::vector<char> used_;  // [slots]
};

}  // namespace local

#endif
