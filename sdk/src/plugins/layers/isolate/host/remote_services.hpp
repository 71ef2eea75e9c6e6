// remote_services.hpp: the services of the host as a plugin in its own process sees them.
//
// Log lines go as they come, metrics with the answer of the call, questions to the tokenizer wait for their answer. The
// host listens while a call runs; outside of one, log lines are dropped and the
// tokenizer refuses.
#ifndef GRPO_PLUGINS_ISOLATE_REMOTE_SERVICES_HPP
#define GRPO_PLUGINS_ISOLATE_REMOTE_SERVICES_HPP

#include <grpo/host.h>

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "../channel.hpp"
#include "grpo/sdk/plugins/services.hpp"

namespace grpo::wire {
class OpenHandle;
class Scored;
class ToChild;
class ToHost;
class TokensAnswer;
class TokensQuestion;
}  // namespace grpo::wire

namespace grpo::plugins::isolate {

class Inbox;

class RemoteServices final : public ComponentServices {
 public:
  RemoteServices(Channel& channel, Inbox& inbox) : channel_(channel), inbox_(inbox) {}
  void offer(const wire::OpenHandle& message);
  const void* find(std::string_view id) const override;

  void begin();                                                        // a call begins: the host listens
  bool answer(const wire::ToHost& m);                                  // it has ended; false: nobody is there
  bool exchange(const wire::ToHost& question, wire::ToChild& answer);  // within a call, from any thread; false: none
  void take_metrics(wire::Scored& into);                               // what was added since the last time

 private:
  bool ask(const wire::TokensQuestion& question, wire::TokensAnswer& answer);
  void write_line(std::int32_t level, const char* text, std::int64_t size);

  Channel& channel_;
  Inbox& inbox_;
  std::mutex socket_, metrics_mutex_;
  bool listening_ = false;
  std::vector<std::pair<std::string, double>> metrics_added_;
  bool has_log_ = false, has_metrics_ = false, has_tokenizer_ = false;
  grpo_log log_{};
  grpo_metrics metrics_{};
  grpo_tokenizer tokenizer_{};
};

}  // namespace grpo::plugins::isolate

#endif
