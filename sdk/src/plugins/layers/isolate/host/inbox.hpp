// inbox.hpp: what the host says, as the plugin's process takes it.
//
// A reward is called and answers, so its messages are read when somebody waits for one. A sampler can be told to cancel
// while it generates; for it a thread reads, acts on that at once, and keeps the rest for who waits.
#ifndef GRPO_PLUGINS_ISOLATE_INBOX_HPP
#define GRPO_PLUGINS_ISOLATE_INBOX_HPP

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

#include "../channel.hpp"
#include "control.pb.h"

namespace grpo::plugins::isolate {

class Inbox {
 public:
  explicit Inbox(Channel& channel) : channel_(channel) {}

  // The next message; false: the host is gone. The descriptor that came with it is in `descriptor`.
  bool receive(wire::ToChild& message);
  Descriptor take_descriptor() { return std::move(descriptor_); }

  // From now on a thread reads. at_once: true when it has dealt with the message. The process ends with the connection.
  void read_ahead(std::function<bool(const wire::ToChild&)> at_once);

 private:
  struct Item {
    wire::ToChild message;
    Descriptor descriptor;
  };
  Channel& channel_;
  Descriptor descriptor_;
  bool threaded_ = false;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Item> items_;
};

}  // namespace grpo::plugins::isolate

#endif
