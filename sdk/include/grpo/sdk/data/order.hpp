// order.hpp: which row comes when.
//
// Main idea. Position p of a run is row order(p): epoch p / n, place p % n in a permutation that depends on the seed
// and the epoch alone. So the position is the whole state: a resumed run goes on with exactly the rows it would have
// had.
//
// A batch that reaches over the end of an epoch takes its rest from the next one: every step has a full batch and every
// row comes once an epoch.
#ifndef GRPO_SDK_DATA_ORDER_HPP
#define GRPO_SDK_DATA_ORDER_HPP

#include <cstdint>
#include <vector>

namespace grpo::data {

// [one at a time]
class EpochOrder {
 public:
  // rows > 0. shuffle false: the order of the file, every epoch.
  EpochOrder(std::int64_t rows, std::uint64_t seed, bool shuffle);

  std::vector<std::int64_t> next(std::int64_t count);  // rows of the next `count` positions; moves on
  std::int64_t at(std::int64_t position);              // does not move

  std::int64_t position() const { return position_; }
  void seek(std::int64_t position) { position_ = position; }
  std::int64_t rows() const { return rows_; }
  double epoch() const {
    return static_cast<double>(position_) / static_cast<double>(rows_);
  }  // 1.5: half of the second

 private:
  void permute(std::int64_t epoch);

  std::int64_t rows_, position_ = 0, permuted_ = -1;
  std::uint64_t seed_;
  bool shuffle_;
  std::vector<std::int64_t> permutation_;  // of epoch permuted_
};

// Steps that `epochs` passes take: the last one is filled up, so this rounds up. At least 1.
std::int64_t steps_of(std::int64_t rows, double epochs, std::int64_t batch);

}  // namespace grpo::data

#endif
