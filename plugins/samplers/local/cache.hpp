// cache.hpp: a session of the model's decoder and its free slots.
//
// One session serves many calls of generate. It is opened anew only when a request needs more than it has, and only
// while no slot is in use, because a session cannot grow.
#ifndef LOCAL_CACHE_HPP
#define LOCAL_CACHE_HPP

#include <grpo/sampler.hpp>
#include <string>
#include <vector>

namespace local {

class cache {
 public:
  cache() = default;
  cache(const cache&) = delete;
  cache& operator=(const cache&) = delete;
  ~cache() { close(); }

  // Closes the session, if there is one, and keeps the one that make(call) opens. GRPO_STATUS_NO_MEMORY: the model's
  // words in `why`, which are not yet an error of the call: the caller may ask for less. Other failures are thrown.
  template <class Make>
  grpo_status open(const grpo_call* call, int64_t slots, int64_t tokens, std::string& why, Make&& make) {
    close();
    const grpo::quiet_call ask(call);
    try {
      session_ = make(ask, slots, tokens);
    } catch (const grpo::failure& e) {
      why = ask.text();
      if (e.status() == GRPO_STATUS_NO_MEMORY) return e.status();
      throw grpo::failure(e.status(), "the model opened no decode session: " + why);
    }
    start(slots, tokens);
    return GRPO_STATUS_OK;
  }
  void close();

  bool is_open() const { return static_cast<bool>(session_); }
  int64_t tokens() const { return tokens_; }  // asked for in open
  int64_t free_tokens() const { return session_.free_tokens(); }
  grpo::decode_session& session() { return session_; }

  bool has_free_slot() const { return !free_.empty(); }
  int64_t take_slot();
  void release(const std::vector<int64_t>& slots);
  void release_all();

 private:
  void start(int64_t slots, int64_t tokens);
  grpo::decode_session session_;
  int64_t tokens_ = 0;
  std::vector<int64_t> free_;
  std::vector<char> used_;  // [slots]
};

}  // namespace local

#endif
