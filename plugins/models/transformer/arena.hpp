// arena.hpp: memory that is taken piece by piece and given back all at once, kept from step to step.
//
// LibTorch's CPU allocator returns every tensor's pages to the system; touching them anew costs as much as using them.
//
// Memory grows by chunks. A pass somewhat larger than the ones before fits into few of theirs and takes chunks of its
// own beside them; what then is more than any pass has used goes back at the next whole rewind, for one chunk that
// suffices.
#ifndef GRPO_TRANSFORMER_ARENA_HPP
#define GRPO_TRANSFORMER_ARENA_HPP

#include <ATen/ATen.h>

#include <vector>

#include "memory.hpp"

namespace grpo::transformer {

class Arena {
 public:
  explicit Arena(at::Device device) : device_(device) {}

  // Uninitialised. Valid until a rewind to before it.
  at::Tensor take(at::IntArrayRef shape, at::ScalarType type) {
    const auto size = static_cast<std::int64_t>(c10::elementSize(type));
    const std::int64_t elements = c10::multiply_integers(shape), bytes = (elements * size + 63) / 64 * 64;
    while (chunk_ < chunks_.size() && used_ + bytes > chunks_[chunk_].numel()) {
      ++chunk_;
      used_ = 0;
    }
    if (chunk_ == chunks_.size()) {
      const std::int64_t least = chunks_.empty() ? std::max(chunk_bytes, first_bytes_) : chunk_bytes;
      chunks_.push_back(fresh_zeros(std::max(bytes, least), at::TensorOptions().device(device_).dtype(at::kByte)));
      capacity_ += chunks_.back().numel();
      used_ = 0;
    }
    const auto piece = chunks_[chunk_].narrow(0, used_, elements * size).view(type).view(shape);
    used_ += bytes;
    taken_ += bytes;
    peak_ = std::max(peak_, taken_);
    return piece;
  }

  struct Mark {
    std::size_t chunk = 0;
    std::int64_t used = 0, taken = 0;
  };
  Mark mark() const { return {chunk_, used_, taken_}; }
  void rewind() {
    rewind(Mark());
    if (capacity_ <= peak_ + peak_ / 4 + chunk_bytes) return;
    chunks_.clear();
    capacity_ = 0;
    first_bytes_ = peak_ + peak_ / 8;
  }
  void rewind(const Mark& mark) {
    chunk_ = mark.chunk;
    used_ = mark.used;
    taken_ = mark.taken;
  }

  std::int64_t capacity() const { return capacity_; }  // bytes

 private:
  static constexpr std::int64_t chunk_bytes = 32 << 20;
  at::Device device_;
  std::vector<at::Tensor> chunks_;
  std::size_t chunk_ = 0;
  std::int64_t used_ = 0;              // of the chunk at hand
  std::int64_t taken_ = 0, peak_ = 0;  // bytes, now and at most
  std::int64_t capacity_ = 0, first_bytes_ = 0;
};

}  // namespace grpo::transformer

#endif
