// group_sums.hpp: the innermost product, for linear.cpp alone: some rows against one group of packed outputs.
//
// Rows come as tiles: [tiles][inputs][highest], the rows of a tile side by side. How high a tile may be depends on the
// machine's registers. Tiles are of about equal height.
#ifndef GRPO_TRANSFORMER_KERNELS_GROUP_SUMS_HPP
#define GRPO_TRANSFORMER_KERNELS_GROUP_SUMS_HPP

#include "simd.hpp"

namespace grpo::transformer::simd {

constexpr std::int64_t width = linear_width;  // outputs of a group
constexpr std::int64_t most_rows = 8;         // the highest tile of any machine

inline std::int64_t tiles_of(std::int64_t rows, std::int64_t highest) { return (rows + highest - 1) / highest; }
inline std::int64_t tile_begin(std::int64_t rows, std::int64_t tiles, std::int64_t t) { return rows * t / tiles; }

class GroupSums {
 public:
  static const GroupSums& of_this_machine();
  std::int64_t highest() const { return highest_; }

  // sums [rows, width] of the group that begins `offset` elements into the weight. last: no group follows in memory, so
  // nothing is fetched ahead.
  void operator()(const float* x, std::int64_t rows, const PackedMatrix& weight, std::int64_t offset,
                  std::int64_t inputs, bool last, float* sums) const;

 private:
  template <typename Weight>
  using Loop = void (*)(const float* x, std::int64_t rows, const Weight* weights, std::int64_t inputs, bool last,
                        float* sums);
  GroupSums(Loop<float> of_float, Loop<std::uint16_t> of_bfloat16, std::int64_t highest)
      : of_float_(of_float), of_bfloat16_(of_bfloat16), highest_(highest) {}

  Loop<float> of_float_;
  Loop<std::uint16_t> of_bfloat16_;
  std::int64_t highest_;
};

}  // namespace grpo::transformer::simd

#endif
