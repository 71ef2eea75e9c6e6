// Matrix products against packed weights.
//
// Main idea. A group of outputs is streamed from memory once, however many rows there are: it is taken in blocks of
// inputs that fit the first-level cache, and all rows pass over a block, in tiles whose sums stay in registers, before
// the next one. While rows compute, the next block is fetched: without that, 32 rows take 1.6 times as long. A row's
// sum runs over the inputs in order, whatever the tile, so it depends neither on the number of rows nor on that of
// threads.
#include <omp.h>

#include <algorithm>
#include <vector>

#include "lanes.hpp"
#include "simd.hpp"

namespace grpo::transformer::simd {
namespace {

constexpr std::int64_t width = linear_width, panels = width / lanes;
constexpr std::int64_t input_block = 96;  // 18 KiB of weights
constexpr std::int64_t most_rows = 8;     // in a tile
constexpr std::int64_t line = 64;         // bytes of a cache line

// What one pass of a tile over a block of inputs works on.
struct Pass {
  const float* x;  // [inputs, tile height of this machine]
  std::int64_t begin, end;
  const float* weights;  // [inputs, width] of the group
  float* sums;           // [height, width]
  const char* ahead;     // [ahead_lines] cache lines that the next pass will want
  std::int64_t ahead_lines;
};

// `Height` rows x `Wide` panels from the panel on. Height * Wide sums and what they are made of fill the registers.
template <int Highest, int Height, int Wide>
INLINE void tile(const Pass& p, std::int64_t panel) {
  Floats sum[Height][Wide];
  float* sums = p.sums + panel * lanes;
  if (p.begin == 0) {
    for (auto& row : sum)
      for (auto& s : row) s = Floats{};
  } else {
    for (int r = 0; r < Height; ++r)
      for (int w = 0; w < Wide; ++w) load(sums + r * width + w * lanes, sum[r][w]);
  }
  const float* weights = p.weights + p.begin * width + panel * lanes;
  const std::int64_t fetched = std::min(p.ahead_lines, p.end - p.begin);
  const char* ahead = p.ahead;
  const auto step = [&](std::int64_t k) {
    Floats weight[Wide];
    for (int w = 0; w < Wide; ++w) load(weights + w * lanes, weight[w]);
    weights += width;
    for (int r = 0; r < Height; ++r) {
      const float value = p.x[k * Highest + r];
      for (int w = 0; w < Wide; ++w) sum[r][w] += weight[w] * value;
    }
  };
  std::int64_t k = p.begin;
  for (; k < p.begin + fetched; ++k, ahead += line) {
    __builtin_prefetch(ahead, 0, 2);
    step(k);
  }
  for (; k < p.end; ++k) step(k);
  for (int r = 0; r < Height; ++r)
    for (int w = 0; w < Wide; ++w) store(sum[r][w], sums + r * width + w * lanes);
}

template <int Highest, int Height, int Wide>
INLINE void all_panels(Pass& p) {
  for (std::int64_t panel = 0; panel < panels; panel += Wide) {
    tile<Highest, Height, Wide>(p, panel);
    p.ahead_lines = 0;
  }
}

std::int64_t tiles_of(std::int64_t rows, std::int64_t highest) { return (rows + highest - 1) / highest; }

// The first row of tile t: tiles are of about equal height.
std::int64_t tile_begin(std::int64_t rows, std::int64_t tiles, std::int64_t t) { return rows * t / tiles; }

// All rows against one group. x: [tiles][inputs][Highest].
template <int Highest, int Wide>
INLINE void group_sums(const float* x, std::int64_t rows, const float* weights, std::int64_t inputs, bool last,
                       float* sums) {
  const std::int64_t tiles = tiles_of(rows, Highest);
  const std::int64_t block = tiles == 1 ? inputs : input_block;
  for (std::int64_t begin = 0; begin < inputs; begin += block) {
    const std::int64_t end = std::min(inputs, begin + block);
    const std::int64_t ahead = last && end == inputs ? 0 : (end - begin) * width * std::int64_t{sizeof(float)} / line;
    const char* next = reinterpret_cast<const char*>(weights + end * width);
    for (std::int64_t t = 0; t < tiles; ++t) {
      const std::int64_t r = tile_begin(rows, tiles, t), height = tile_begin(rows, tiles, t + 1) - r;
      const std::int64_t from = ahead * t / tiles;
      Pass p{x + t * inputs * Highest,      begin, end, weights, sums + r * width, next + from * line,
             ahead * (t + 1) / tiles - from};
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
  }
}

// One version for each size of register file: 32 of 16 floats, 16 of 8, 16 of 4.
using GroupSums = void (*)(const float* x, std::int64_t rows, const float* weights, std::int64_t inputs, bool last,
                           float* sums);
#if defined(__x86_64__)
__attribute__((target("arch=x86-64-v4"))) void group_sums_v4(const float* x, std::int64_t rows, const float* weights,
                                                             std::int64_t inputs, bool last, float* sums) {
  group_sums<8, 3>(x, rows, weights, inputs, last, sums);
}
__attribute__((target("arch=x86-64-v3"))) void group_sums_v3(const float* x, std::int64_t rows, const float* weights,
                                                             std::int64_t inputs, bool last, float* sums) {
  group_sums<6, 1>(x, rows, weights, inputs, last, sums);
}
#endif
void group_sums_plain(const float* x, std::int64_t rows, const float* weights, std::int64_t inputs, bool last,
                      float* sums) {
  group_sums<2, 1>(x, rows, weights, inputs, last, sums);
}

struct Version {
  GroupSums sums;
  std::int64_t highest;
};

Version pick_version() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return {group_sums_v4, 8};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
    return {group_sums_v3, 6};
#endif
  return {group_sums_plain, 2};
}

// Tile t of x, its rows side by side.
void interleave(const float* x, std::int64_t rows, std::int64_t inputs, std::int64_t highest, std::int64_t t,
                float* out) {
  const std::int64_t tiles = tiles_of(rows, highest), begin = tile_begin(rows, tiles, t);
  const std::int64_t height = tile_begin(rows, tiles, t + 1) - begin;
  for (std::int64_t k = 0; k < inputs; ++k)
    for (std::int64_t r = 0; r < height; ++r) out[k * highest + r] = x[(begin + r) * inputs + k];
}

CLONES void finish_row(const float* sums, const float* bias, const float* residual, std::int64_t n, float* y) {
  if (bias && residual) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = sums[i] + bias[i] + residual[i];
  } else if (bias) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = sums[i] + bias[i];
  } else if (residual) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = sums[i] + residual[i];
  } else {
    std::copy_n(sums, n, y);
  }
}

}  // namespace

std::int64_t packed_size(std::int64_t outputs, std::int64_t inputs) {
  return (outputs + width - 1) / width * width * inputs;
}

void pack(const float* weight, std::int64_t outputs, std::int64_t inputs, float* packed) {
  constexpr std::int64_t block = 16;  // inputs: a cache line of each output
  const std::int64_t groups = (outputs + width - 1) / width;
#pragma omp parallel for schedule(static)
  for (std::int64_t g = 0; g < groups; ++g)
    for (std::int64_t begin = 0; begin < inputs; begin += block)
      for (std::int64_t o = 0; o < width; ++o) {
        const std::int64_t row = g * width + o;
        for (std::int64_t k = begin; k < std::min(inputs, begin + block); ++k)
          packed[(g * inputs + k) * width + o] = row < outputs ? weight[row * inputs + k] : 0.0f;
      }
}

std::int64_t linear_scratch(std::int64_t rows, std::int64_t inputs) {
  return (rows + most_rows) * inputs + omp_get_max_threads() * rows * width;
}

void linear(const float* x, std::int64_t rows, const float* packed, const float* bias, std::int64_t outputs,
            std::int64_t inputs, const float* residual, float* y, float* scratch) {
  static const Version version = pick_version();
  const std::int64_t groups = (outputs + width - 1) / width, tiles = tiles_of(rows, version.highest);
  const std::int64_t tile_size = inputs * version.highest;
  float* const all_sums = scratch + tiles * tile_size;
#pragma omp parallel
  {
#pragma omp for schedule(static)
    for (std::int64_t t = 0; t < tiles; ++t) interleave(x, rows, inputs, version.highest, t, scratch + t * tile_size);
#pragma omp for schedule(static)
    for (std::int64_t g = 0; g < groups; ++g) {
      float* sums = all_sums + omp_get_thread_num() * rows * width;
      version.sums(scratch, rows, packed + g * width * inputs, inputs, g == groups - 1, sums);
      const std::int64_t n = std::min(width, outputs - g * width);
      for (std::int64_t r = 0; r < rows; ++r)
        finish_row(sums + r * width, bias ? bias + g * width : nullptr,
                   residual ? residual + r * outputs + g * width : nullptr, n, y + r * outputs + g * width);
    }
  }
}

}  // namespace grpo::transformer::simd
