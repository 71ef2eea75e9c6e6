// feed.hpp: the host's end of generate: hands out requests, checks and passes on completions.
#ifndef GRPO_PLUGINS_FEED_HPP
#define GRPO_PLUGINS_FEED_HPP

#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>

#include "grpo/sdk/plugins/sampler.hpp"

namespace grpo::plugins {

struct RequestQueueState {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Request> waiting;
  bool closed = false;
};

// What of `sampling` is wrong or not among `supported` (GRPO_SAMPLING_*); empty: nothing.
std::string sampling_problem(const Sampling& sampling, std::uint32_t supported);

struct FeedSettings {
  std::string who;
  std::int64_t vocabulary = 0;  // 0: not known
  std::function<void(const Request&)> check;
  std::function<void(Completion)> deliver;
};

class Feed {
 public:
  Feed(RequestQueueState& queue, FeedSettings settings);
  const grpo_feed* get() const { return &table_; }
  void rethrow() const;         // the first exception of this side, if there was one
  void check_complete() const;  // throws if a request still lacks completions

 private:
  // A request with everything that its grpo_request points to; nodes of a map do not move.
  struct Open {
    Request request;
    Sampling sampling;
    std::vector<grpo_str> stop_text;
    grpo_sampling sampling_table{};
    grpo_request table{};
    std::vector<bool> delivered;
    std::int64_t missing = 0;
  };
  grpo_status next(const grpo_call* call, std::int64_t wait_ns, const grpo_request** out) noexcept;
  grpo_status deliver(const grpo_call* call, const grpo_completion* completion) noexcept;
  grpo_status failed(const grpo_call* call) noexcept;
  const grpo_request* open(Request request);
  Completion checked(const grpo_completion& c, const Open& open) const;

  RequestQueueState& queue_;
  FeedSettings settings_;
  grpo_feed table_{};
  mutable std::mutex mutex_;  // one delivery at a time
  std::map<std::uint64_t, Open> open_;
  std::exception_ptr error_;
};

}  // namespace grpo::plugins

#endif
