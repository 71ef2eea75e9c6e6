// Main idea. A group of outputs is streamed from memory once, however many rows there are: it is taken in blocks of
// inputs that fit the first-level cache, and all rows pass over a block, in tiles whose sums stay in registers, before
// the next one. While rows compute, the next block is fetched, so that neither waits for the other. A row's sum runs
// over the inputs in order, whatever the tile, so it depends neither on the number of rows nor on that of threads.
#include <algorithm>
#include <type_traits>

#include "group_sums.hpp"
#include "lanes.hpp"

namespace grpo::transformer::simd {
namespace {

constexpr std::int64_t panels = width / lanes;
constexpr std::int64_t input_block = 96;  // 18 KiB of weights
constexpr std::int64_t line = 64;         // bytes of a cache line

// What one pass of a tile over a block of inputs works on. Weight: float, or std::uint16_t for bfloat16.
template <typename Weight>
struct Pass {
  const float* x;  // [inputs, tile height of this machine]
  std::int64_t begin, end;
  const Weight* weights;  // [begin, end) x width of the group
  float* sums;            // [height, width]
  const char* ahead;      // [ahead_lines] cache lines that the next pass will want
  std::int64_t ahead_lines;
  float* widened = nullptr;  // where the weights go as floats too, for the tiles to come; null: nowhere
};

// `Height` rows x `Wide` panels from the panel on. Height * Wide sums and what they are made of fill the registers.
template <int Highest, int Height, int Wide, typename Weight>
INLINE void tile(const Pass<Weight>& p, std::int64_t panel) {
  Floats sum[Height][Wide];
  float* sums = p.sums + panel * lanes;
  if (p.begin == 0) {
    for (auto& row : sum)
      for (auto& s : row) s = Floats{};
  } else {
    for (int r = 0; r < Height; ++r)
      for (int w = 0; w < Wide; ++w) load(sums + r * width + w * lanes, sum[r][w]);
  }
  const Weight* weights = p.weights + panel * lanes;
  const std::int64_t steps = p.end - p.begin, lines_a_step = (p.ahead_lines + steps - 1) / steps;
  const std::int64_t fetching = lines_a_step == 0 ? 0 : p.ahead_lines / lines_a_step;  // a few are left over
  const char* ahead = p.ahead;
  float* widened = p.widened ? p.widened + panel * lanes : nullptr;
  const auto step = [&](std::int64_t k) {
    Floats weight[Wide];
    for (int w = 0; w < Wide; ++w) load(weights + w * lanes, weight[w]);
    weights += width;
    if constexpr (!std::is_same_v<Weight, float>)
      if (widened) {
        for (int w = 0; w < Wide; ++w) store(weight[w], widened + w * lanes);
        widened += width;
      }
    for (int r = 0; r < Height; ++r) {
      const float value = p.x[k * Highest + r];
      for (int w = 0; w < Wide; ++w) sum[r][w] += weight[w] * value;
    }
  };
  std::int64_t k = p.begin;
  for (; k < p.begin + fetching; ++k) {
    for (std::int64_t i = 0; i < lines_a_step; ++i, ahead += line) __builtin_prefetch(ahead, 0, 2);
    step(k);
  }
  for (; k < p.end; ++k) step(k);
  for (int r = 0; r < Height; ++r)
    for (int w = 0; w < Wide; ++w) store(sum[r][w], sums + r * width + w * lanes);
}

template <int Highest, int Height, int Wide, typename Weight>
INLINE void all_panels(Pass<Weight>& p) {
  for (std::int64_t panel = 0; panel < panels; panel += Wide) {
    tile<Highest, Height, Wide>(p, panel);
    p.ahead_lines = 0;
  }
}

template <int Highest, int Wide, typename Weight>
INLINE void tile_of_height(std::int64_t height, Pass<Weight>& p) {
  switch (height) {
#define HEIGHT(h)                                                \
  case h:                                                        \
    if constexpr (h <= Highest) all_panels<Highest, h, Wide>(p); \
    break
    HEIGHT(1);
    HEIGHT(2);
    HEIGHT(3);
    HEIGHT(4);
    HEIGHT(5);
    HEIGHT(6);
    HEIGHT(7);
    HEIGHT(8);
#undef HEIGHT
  }
}

// All rows against one group. x: [tiles][inputs][Highest].
template <int Highest, int Wide, typename Weight>
INLINE void group_sums(const float* x, std::int64_t rows, const Weight* weights, std::int64_t inputs, bool last,
                       float* sums) {
  constexpr bool narrow = !std::is_same_v<Weight, float>;
  alignas(64) float widened[narrow ? input_block * width : 1];
  const std::int64_t tiles = tiles_of(rows, Highest), block = tiles == 1 ? inputs : input_block;
  for (std::int64_t begin = 0; begin < inputs; begin += block) {
    const std::int64_t end = std::min(inputs, begin + block);
    const auto* next = reinterpret_cast<const char*>(weights + end * width);
    const std::int64_t bytes = (end - begin) * width * std::int64_t{sizeof(Weight)};
    const std::int64_t lines = last && end == inputs ? 0 : bytes / line;
    for (std::int64_t t = 0; t < tiles; ++t) {
      const std::int64_t r = tile_begin(rows, tiles, t), height = tile_begin(rows, tiles, t + 1) - r;
      const std::int64_t from = lines * t / tiles, fetched = lines * (t + 1) / tiles - from;
      const auto pass = [&](const auto* of) {
        return Pass<std::remove_cvref_t<decltype(*of)>>{x + t * inputs * Highest, begin,  end, of, sums + r * width,
                                                        next + from * line,       fetched};
      };
      if (narrow && t > 0) {  // the first tile has widened them
        auto p = pass(widened);
        tile_of_height<Highest, Wide>(height, p);
      } else {
        auto p = pass(weights + begin * width);
        if (narrow && tiles > 1) p.widened = widened;
        tile_of_height<Highest, Wide>(height, p);
      }
    }
  }
}

// One version for each size of register file: 32 of 16 floats, 16 of 8, 16 of 4.
#define VERSION(name, attributes, highest, wide)                                                                 \
  template <typename Weight>                                                                                     \
  attributes void name(const float* x, std::int64_t rows, const Weight* weights, std::int64_t inputs, bool last, \
                       float* sums) {                                                                            \
    group_sums<highest, wide>(x, rows, weights, inputs, last, sums);                                             \
  }
#if defined(__x86_64__)
VERSION(group_sums_v4, __attribute__((target("arch=x86-64-v4"))), 8, 3)
VERSION(group_sums_v3, __attribute__((target("arch=x86-64-v3"))), 6, 1)
#endif
VERSION(group_sums_plain, , 2, 1)
#undef VERSION

}  // namespace

void GroupSums::operator()(const float* x, std::int64_t rows, const PackedMatrix& weight, std::int64_t offset,
                           std::int64_t inputs, bool last, float* sums) const {
  switch (weight.type) {
    case PackedType::float32:
      return of_float_(x, rows, static_cast<const float*>(weight.data) + offset, inputs, last, sums);
    case PackedType::bfloat16:
      return of_bfloat16_(x, rows, static_cast<const std::uint16_t*>(weight.data) + offset, inputs, last, sums);
  }
}

const GroupSums& GroupSums::of_this_machine() {
  static const GroupSums version = [] {
    switch (registers_of_this_machine()) {
#if defined(__x86_64__)
      case Registers::v4:
        return GroupSums(group_sums_v4<float>, group_sums_v4<std::uint16_t>, 8);
      case Registers::v3:
        return GroupSums(group_sums_v3<float>, group_sums_v3<std::uint16_t>, 6);
#endif
      default:
        return GroupSums(group_sums_plain<float>, group_sums_plain<std::uint16_t>, 2);
    }
  }();
  return version;
}

}  // namespace grpo::transformer::simd
