// isolated_sampler.hpp: one open handle of an isolated sampler, which has an engine of its own.
#ifndef GRPO_PLUGINS_ISOLATE_ISOLATED_SAMPLER_HPP
#define GRPO_PLUGINS_ISOLATE_ISOLATED_SAMPLER_HPP

#include <grpo/sampler.h>

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "launcher.hpp"

namespace grpo::wire {
class Completion;
class NextAnswer;
class ToChild;
class ToHost;
}  // namespace grpo::wire

namespace grpo::plugins::isolate {

class IsolatedSampler {
 public:
  IsolatedSampler(std::string program, Component what, const IsolateSettings& settings);
  ~IsolatedSampler();

  grpo_status open(const grpo_call* call, const grpo_options* options, std::unique_ptr<Child> spare);
  const grpo_sampler_info* describe() const { return &info_; }
  grpo_status generate(const grpo_call* call, const grpo_feed* feed);
  void cancel(std::uint64_t request);  // [any thread]
  grpo_status update_begin(const grpo_call* call, std::int64_t version, const grpo_tensor_sink** sink);
  grpo_status update_end(const grpo_call* call, bool accept);

 private:
  struct Open {
    const grpo_request* request;
    std::vector<bool> delivered;
    std::int64_t missing;
  };
  grpo_status ready(const grpo_call* call);
  grpo_status converse(const grpo_call* call, const grpo_feed* feed);
  bool begin_again(const grpo_call* call, const std::string& how, std::string& why);
  void next(const grpo_call* call, const grpo_feed* feed, std::int64_t wait_ns, wire::NextAnswer& answer);
  grpo_status deliver(const grpo_call* call, const grpo_feed* feed, const wire::Completion& completion);
  grpo_status put(const grpo_call* call, std::int64_t n, const grpo_named_tensor* const* tensors);
  grpo_status ask(const grpo_call* call, const wire::ToChild& message, const char* function, int descriptor = -1);
  bool is_cancelled(std::uint64_t request);
  void drop();  // the process is gone

  Launcher launcher_;
  grpo_sampler_info info_{};
  grpo_tensor_sink sink_{};
  std::mutex child_mutex_;  // child_ changes in generate's thread; cancel comes from others
  std::unique_ptr<Child> child_;
  bool without_weights_ = false;  // it was started again, and its weights are those of the beginning
  std::map<std::uint64_t, Open> open_;
  std::deque<const grpo_request*> again_;  // open ones that a new process has not been given yet
  std::set<std::uint64_t> cancelled_;
  bool feed_ended_ = false;
};

}  // namespace grpo::plugins::isolate

#endif
