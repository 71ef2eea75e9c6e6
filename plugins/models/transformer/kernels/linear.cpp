// Products of rows and packed weights: the input arranged as tiles, sums by group_sums.hpp, and what becomes of them.
#include <omp.h>

#include <algorithm>

#include "group_sums.hpp"
#include "lanes.hpp"

namespace grpo::transformer::simd {
namespace {

constexpr int most_arranging = 4;  // threads that each arrange all of the input

// n of `outputs` gates, and the ups behind them, become y.
CLONES void activate(const float* gate_up, std::int64_t step, std::int64_t rows, std::int64_t outputs, std::int64_t n,
                     float* y) {
  for (std::int64_t r = 0; r < rows; ++r)
    swiglu_lanes(gate_up + r * step, gate_up + r * step + outputs, n, y + r * outputs);
}

// 16 inputs of 8 rows, turned in registers: each zip puts rows that are half as far apart side by side.
INLINE void zip(const Floats& a, const Floats& b, Floats& low, Floats& high) {
  low = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  high = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

INLINE void turn(const Floats* row, float* out) {
  Floats by4[8], by2[8], low, high;
  for (int i = 0; i < 4; ++i) zip(row[i], row[i + 4], by4[i], by4[i + 4]);
  for (int half = 0; half < 8; half += 4)
    for (int i = 0; i < 2; ++i) zip(by4[half + i], by4[half + i + 2], by2[half + 2 * i], by2[half + 2 * i + 1]);
  for (int half = 0; half < 8; half += 4)
    for (int i = 0; i < 2; ++i) {
      zip(by2[half + i], by2[half + i + 2], low, high);
      store(low, out + (half + 2 * i) * lanes);
      store(high, out + (half + 2 * i + 1) * lanes);
    }
}

// One tile: its rows side by side, normed if the input says so.
CLONES void arrange_tile(const LinearInput& in, std::int64_t begin, std::int64_t height, std::int64_t inputs,
                         std::int64_t highest, float* out) {
  const float* row[most_rows];
  float factor[most_rows];
  for (std::int64_t r = 0; r < most_rows; ++r) {
    row[r] = in.x + (begin + std::min(r, height - 1)) * in.step;  // places past the last row hold it again
    factor[r] = in.norm && r < height ? norm_factor(row[r], inputs, in.eps) : 0;
  }
  std::int64_t k = 0;
  if (highest == most_rows && height > 2)  // turning a single row costs as much as eight
    for (; k + lanes <= inputs; k += lanes) {
      Floats part[most_rows], weight;
      for (int r = 0; r < most_rows; ++r) load(row[r] + k, part[r]);
      if (in.norm) {
        load(in.norm + k, weight);
        for (int r = 0; r < most_rows; ++r) part[r] = part[r] * factor[r] * weight;
      }
      turn(part, out + k * most_rows);
    }
  for (; k < inputs; ++k)
    for (std::int64_t r = 0; r < height; ++r)
      out[k * highest + r] = in.norm ? row[r][k] * factor[r] * in.norm[k] : row[r][k];
}

// What the threads of one product share.
struct Product {
  Product(const LinearInput& input, std::int64_t n, std::int64_t size, float* memory)
      : in(input), rows(n), inputs(size), highest(group_sums.highest()), tiles(tiles_of(n, highest)), scratch(memory) {}

  const GroupSums& group_sums = GroupSums::of_this_machine();
  const LinearInput& in;
  const std::int64_t rows, inputs, highest, tiles;
  float* const scratch;

  std::int64_t arranged_size() const { return tiles * highest * inputs; }

  // The input as tiles. A line that another core has written is slow to read: a few threads had rather arrange all of
  // it, each for itself, than share; many share. Called by all threads of a region.
  const float* arrange() const {
    const bool share = omp_get_num_threads() > most_arranging;
    float* out = scratch + (share ? 0 : omp_get_thread_num()) * arranged_size();
    const auto one = [&](std::int64_t t) {
      const std::int64_t begin = tile_begin(rows, tiles, t);
      arrange_tile(in, begin, tile_begin(rows, tiles, t + 1) - begin, inputs, highest, out + t * highest * inputs);
    };
    if (share) {
#pragma omp for schedule(static)
      for (std::int64_t t = 0; t < tiles; ++t) one(t);
    } else {
      for (std::int64_t t = 0; t < tiles; ++t) one(t);
    }
    return out;
  }

  // Of this thread: [2][rows, width].
  float* sums() const {
    const int copies = std::min(omp_get_num_threads(), most_arranging);
    return scratch + copies * arranged_size() + omp_get_thread_num() * 2 * rows * width;
  }
};

// y[r][at, at + n) = sums[r] (+ bias) (+ residual[r]).
CLONES void finish(const float* sums, std::int64_t rows, const float* bias, const LinearOutput& out, std::int64_t at,
                   std::int64_t n) {
  if (bias) bias += at;
  float* y = out.y + at;
  for (std::int64_t r = 0; r < rows; ++r, sums += width, y += out.step) {
    const float* before = out.residual ? out.residual + r * out.residual_step + at : nullptr;
    if (bias && before) {
      for (std::int64_t i = 0; i < n; ++i) y[i] = sums[i] + bias[i] + before[i];
    } else if (bias) {
      for (std::int64_t i = 0; i < n; ++i) y[i] = sums[i] + bias[i];
    } else if (before) {
      for (std::int64_t i = 0; i < n; ++i) y[i] = sums[i] + before[i];
    } else {
      std::copy_n(sums, n, y);
    }
  }
}

}  // namespace

std::int64_t linear_scratch(std::int64_t rows, std::int64_t inputs) {
  const std::int64_t threads = omp_get_max_threads();
  return std::min<std::int64_t>(threads, most_arranging) * (rows + most_rows) * inputs + threads * 2 * rows * width;
}

void linear(const LinearInput& in, std::int64_t rows, const PackedMatrix& weight, const float* bias,
            std::int64_t outputs, std::int64_t inputs, const LinearOutput& out, float* scratch) {
  const std::int64_t groups = (outputs + width - 1) / width;
  const Product product(in, rows, inputs, scratch);
  const float* x = product.arrange();
  float* sums = product.sums();
#pragma omp for schedule(static)
  for (std::int64_t g = 0; g < groups; ++g) {
    product.group_sums(x, rows, weight, g * width * inputs, inputs, g == groups - 1, sums);
    const std::int64_t at = g * width;
    finish(sums, rows, bias, out, at, std::min(width, outputs - at));
  }
}

void gated_linear(const LinearInput& in, std::int64_t rows, const PackedMatrix& weight, const float* bias,
                  std::int64_t outputs, std::int64_t inputs, float* gate_up, std::int64_t gate_up_step, float* y,
                  float* scratch) {
  const std::int64_t groups = (outputs + width - 1) / width;
  const Product product(in, rows, inputs, scratch);
  const float* x = product.arrange();
  float *gate = product.sums(), *up = gate + rows * width;
#pragma omp for schedule(static)
  for (std::int64_t g = 0; g < groups; ++g) {
    product.group_sums(x, rows, weight, 2 * g * width * inputs, inputs, false, gate);
    product.group_sums(x, rows, weight, (2 * g + 1) * width * inputs, inputs, g == groups - 1, up);
    const std::int64_t at = g * width, n = std::min(width, outputs - at);
    finish(gate, rows, bias, {gate_up, gate_up_step}, at, n);
    finish(up, rows, bias, {gate_up, gate_up_step}, outputs + at, n);
    activate(gate_up + at, gate_up_step, rows, outputs, n, y + at);
  }
}

}  // namespace grpo::transformer::simd
