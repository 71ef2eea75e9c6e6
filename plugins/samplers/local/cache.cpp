#include "cache.hpp"

namespace local {

void cache::start(int64_t slots, int64_t tokens) {
  tokens_ = tokens;
  used_.assign(static_cast<std::size_t>(slots), 0);
  free_.clear();
  free_.reserve(static_cast<std::size_t>(slots));
  for (int64_t slot = slots; slot-- > 0;) free_.push_back(slot);
}

void cache::close() {
  if (!session_) return;
  release_all();
  session_ = {};
  tokens_ = 0;
}

int64_t cache::take_slot() {
  const int64_t slot = free_.back();
  free_.pop_back();
  used_[static_cast<std::size_t>(slot)] = 1;
  return slot;
}

void cache::release(const std::vector<int64_t>& slots) {
  if (slots.empty()) return;
  session_.release(slots);
  for (const int64_t slot : slots) {
    used_[static_cast<std::size_t>(slot)] = 0;
    free_.push_back(slot);  // within what open reserved
  }
}

void cache::release_all() {
  for (std::size_t slot = 0; slot < used_.size(); ++slot) {
    if (!used_[slot]) continue;
    const auto id = static_cast<int64_t>(slot);
    session_.release({&id, 1});
    used_[slot] = 0;
    free_.push_back(id);
  }
}

}  // namespace local
