// row_index.hpp: where the rows of a file are, in four bytes a row.
#ifndef GRPO_SRC_DATA_ROW_INDEX_HPP
#define GRPO_SRC_DATA_ROW_INDEX_HPP

#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>

#include "rows.hpp"

namespace grpo::data {

// A row's start is kept as its distance from that of the first row of its block.
class RowIndex {
 public:
  static constexpr std::size_t block = 64;

  // Where the next row starts; false: it lies too far (4 GiB) from the beginning of its block.
  bool add(const Place& at) {
    if (distances_.size() % block == 0) blocks_.push_back(at);
    const std::uint64_t distance = at.offset - blocks_.back().offset;
    if (distance > std::numeric_limits<std::uint32_t>::max()) return false;
    distances_.push_back(static_cast<std::uint32_t>(distance));
    return true;
  }
  void finish(std::uint64_t end) { end_ = end; }

  std::size_t size() const { return distances_.size(); }
  std::uint64_t start(std::size_t row) const { return blocks_[row / block].offset + distances_[row]; }
  // Where the next row starts; of the last row, where its text ends.
  std::uint64_t end(std::size_t row) const { return row + 1 < size() ? start(row + 1) : end_; }
  const Place& block_of(std::size_t row) const { return blocks_[row / block]; }

 private:
  // A vector would hold its content three times over while it grows.
  std::deque<std::uint32_t> distances_;
  std::deque<Place> blocks_;
  std::uint64_t end_ = 0;
};

}  // namespace grpo::data

#endif
