// sampler.hpp: a sampler's handle behind the checks, and the feed that its generate gets.
#ifndef GRPO_PLUGINS_CHECK_SAMPLER_HPP
#define GRPO_PLUGINS_CHECK_SAMPLER_HPP

#include <grpo/sampler.h>

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "opened.hpp"

namespace grpo::plugins::check {

class CheckedFeed;

struct SamplerHandle final : Opened {
  static constexpr Kind kind = Kind::sampler;
  SamplerHandle(const Reporter& r, const grpo_sampler* t) : Opened(r, kind), table(t) {}
  ~SamplerHandle() override;

  const grpo_sampler_info* look_at_info(Run& run);
  bool binds() const { return (said.flags & GRPO_SAMPLER_BINDS) != 0; }

  const grpo_sampler* table;
  const grpo_sampler_info* info = nullptr;
  grpo_sampler_info said{};
  std::mutex info_mutex;  // describe may come from any thread
  grpo_sampler_binding binding{};
  bool bound = false;
  std::int64_t vocabulary = 0;                  // 0: not known
  std::atomic<std::int64_t> newest{INT64_MIN};  // version of the weights that was told; none yet: the least number
  std::int64_t begun = 0;                       // of update_begin
  std::atomic<bool> generating{false}, paused{false}, updating{false}, cut_short{false};

  std::mutex feeds_mutex;
  std::deque<std::unique_ptr<CheckedFeed>> feeds;  // the latest
  std::set<std::uint64_t> cancelled;               // by the host
};

// Stays where it is after generate, so that a late call is told.
class CheckedFeed {
 public:
  CheckedFeed(SamplerHandle& owner, const grpo_feed* inner);
  void look_at_end(Run& run, grpo_status status);  // of generate
  void end();
  const grpo_feed* table() const { return &table_; }
  std::atomic<grpo_status> told{GRPO_STATUS_OK};  // what deliver or next said when it was not OK

 private:
  // The plugin's copy of a request, until its last completion.
  struct Open {
    std::unique_ptr<Scratch> memory;
    const grpo_request* request = nullptr;
    std::vector<bool> delivered;
    std::int64_t missing = 0;
  };
  grpo_status next(const grpo_call* call, std::int64_t wait_ns, const grpo_request** out);
  grpo_status deliver(const grpo_call* call, const grpo_completion* completion);
  bool usable(const char* function);
  void broken(const Rule& rule, const char* function, const std::string& what, bool by_caller = false) {
    owner_.broken(rule, function, what, by_caller);
  }
  bool is_sound(const grpo_completion& c, const Open& open);
  bool end_is_sound(const grpo_completion& c, const Open& open, const std::string& which);
  void compare(const Open& open);
  void retire(Open& open);

  SamplerHandle& owner_;
  const grpo_feed* inner_;
  grpo_feed table_{};
  std::mutex mutex_;
  std::map<std::uint64_t, Open> open_;
  std::deque<std::unique_ptr<Scratch>> resting_;
  std::atomic<bool> live_{true};
  bool ended_ = false;
};

}  // namespace grpo::plugins::check

#endif
