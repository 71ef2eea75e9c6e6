// sampler_side.hpp: a sampler with an engine of its own, in the plugin's process: its calls, and the feed that it sees.
#ifndef GRPO_PLUGINS_ISOLATE_SAMPLER_SIDE_HPP
#define GRPO_PLUGINS_ISOLATE_SAMPLER_SIDE_HPP

#include <grpo/sampler.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "control.pb.h"
#include "inbox.hpp"
#include "remote_services.hpp"

namespace grpo::plugins::isolate {

class SamplerSide {
 public:
  SamplerSide(const grpo_sampler& table, void* handle, Inbox& inbox, std::shared_ptr<RemoteServices> services);
  ~SamplerSide();

  void describe(wire::SamplerInfo& info) const;
  // True when the message was one for a sampler; `done` is then its answer.
  bool handle(const wire::ToChild& message, wire::Status& done);

 private:
  struct Open;
  grpo_status generate(const grpo_call* call);
  grpo_status next(const grpo_call* call, std::int64_t wait_ns, const grpo_request** request);
  grpo_status deliver(const grpo_call* call, const grpo_completion& completion);
  grpo_status put(const grpo_call* call, const wire::Put& message);

  const grpo_sampler& table_;
  void* handle_;
  Inbox& inbox_;
  std::shared_ptr<RemoteServices> services_;
  std::atomic<bool> stop_{false};
  const grpo_tensor_sink* sink_ = nullptr;
  std::mutex mutex_;
  std::map<std::uint64_t, std::unique_ptr<Open>> open_;
};

}  // namespace grpo::plugins::isolate

#endif
