#include "pool.hpp"

namespace grpo_python {

Pool::Pool(std::string python, json start, std::size_t workers)
    : python_(std::move(python)), start_(std::move(start)), free_(workers) {}

Pool::~Pool() {
  for (auto& child : idle_) child->close();
}

std::unique_ptr<Child> Pool::start() const { return std::make_unique<Child>(python_, start_); }

// An idle child that still lives, else a slot without one.
Pool::Slot Pool::taken() {
  --free_;
  while (!idle_.empty()) {
    auto child = std::move(idle_.back());
    idle_.pop_back();
    child->pump();
    if (!child->ended() || !child->ready) return {*this, std::move(child)};
  }
  return {*this, nullptr};
}

Pool::Slot Pool::take(const grpo::call& call) {
  Slot slot = [&] {
    std::unique_lock lock(mutex_);
    while (free_ == 0) {
      given_back_.wait_for(lock, std::chrono::milliseconds(20));
      if (free_ == 0) call.stop_if_asked();
    }
    return taken();
  }();
  if (!slot.child) slot.child = start();
  return slot;
}

std::unique_ptr<Pool::Slot> Pool::take_if_free() {
  std::unique_ptr<Slot> slot;
  {
    std::lock_guard lock(mutex_);
    if (free_ == 0) return nullptr;
    slot = std::make_unique<Slot>(taken());
  }
  if (!slot->child) slot->child = start();
  return slot;
}

Pool::Slot::~Slot() {
  if (!pool_) return;
  {
    std::lock_guard lock(pool_->mutex_);
    ++pool_->free_;
    if (child && !child->ended()) pool_->idle_.push_back(std::move(child));
  }
  pool_->given_back_.notify_one();
}

bool Pool::first(const std::string& text) {
  std::lock_guard lock(mutex_);
  return told_.size() < 1000 && told_.insert(std::hash<std::string>()(text)).second;
}

}  // namespace grpo_python
