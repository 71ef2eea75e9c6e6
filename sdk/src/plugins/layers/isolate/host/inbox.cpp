#include "inbox.hpp"

#include <unistd.h>

#include <thread>
#include <utility>

#include "modes.hpp"

namespace grpo::plugins::isolate {

bool Inbox::receive(wire::ToChild& message) {
  if (!threaded_) {
    if (channel_.receive(message) != Channel::Got::message) return false;
    descriptor_ = channel_.take_descriptor();
    return true;
  }
  std::unique_lock lock(mutex_);
  arrived_.wait(lock, [this] { return !items_.empty(); });
  message = std::move(items_.front().message);
  descriptor_ = std::move(items_.front().descriptor);
  items_.pop_front();
  return true;
}

void Inbox::read_ahead(std::function<bool(const wire::ToChild&)> at_once) {
  if (std::exchange(threaded_, true)) return;
  std::thread([this, act = std::move(at_once)] {
    for (;;) {
      Item item;
      if (channel_.receive(item.message) != Channel::Got::message) _exit(lost_connection);
      item.descriptor = channel_.take_descriptor();
      if (act(item.message)) continue;
      {
        std::lock_guard lock(mutex_);
        items_.push_back(std::move(item));
      }
      arrived_.notify_one();
    }
  }).detach();
}

}  // namespace grpo::plugins::isolate
