#include <grpo/random.h>

#include <algorithm>
#include <cmath>
#include <grpo/sdk/data/order.hpp>
#include <grpo/sdk/error.hpp>
#include <numeric>

namespace grpo::data {
namespace {

// Apart from the keys of steps (random.h), which are also made of the seed and a small number.
constexpr std::uint64_t shuffle_stream = 0x73687566666c65;  // "shuffle"

}  // namespace

EpochOrder::EpochOrder(std::int64_t rows, std::uint64_t seed, bool shuffle)
    : rows_(rows), seed_(grpo_random_key(seed, shuffle_stream)), shuffle_(shuffle) {
  if (rows < 1) throw Error("a dataset without rows has no order");
}

std::vector<std::int64_t> EpochOrder::next(std::int64_t count) {
  std::vector<std::int64_t> out;
  out.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) out.push_back(at(position_++));
  return out;
}

std::int64_t EpochOrder::at(std::int64_t position) {
  const std::int64_t epoch = position / rows_, place = position % rows_;
  if (!shuffle_) return place;
  if (epoch != permuted_) permute(epoch);
  return permutation_[static_cast<std::size_t>(place)];
}

// Fisher and Yates, from the last place down.
void EpochOrder::permute(std::int64_t epoch) {
  const std::uint64_t key = grpo_random_key(seed_, static_cast<std::uint64_t>(epoch));
  permutation_.resize(static_cast<std::size_t>(rows_));
  std::iota(permutation_.begin(), permutation_.end(), std::int64_t{0});
  for (std::size_t i = permutation_.size() - 1; i > 0; --i) {
    const double u = grpo_random_uniform(key, i);
    const auto j = std::min(static_cast<std::size_t>(u * static_cast<double>(i + 1)), i);
    std::swap(permutation_[i], permutation_[j]);
  }
  permuted_ = epoch;
}

std::int64_t steps_of(std::int64_t rows, double epochs, std::int64_t batch) {
  constexpr double most = 1e12;  // no run ends there, and its products stay within 64 bits
  const double positions = std::ceil(static_cast<double>(rows) * epochs);
  const double steps = std::ceil(positions / static_cast<double>(batch));
  return static_cast<std::int64_t>(std::clamp(steps, 1.0, most));
}

}  // namespace grpo::data
