#include "numbers.hpp"

#include <bit>
#include <cmath>

namespace optimizers {
namespace {

struct bf16 {
  static float wide(std::uint16_t h) { return std::bit_cast<float>(std::uint32_t{h} << 16); }
  static std::uint16_t near(float x) {
    const auto u = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t nan = (u >> 16) | 0x40, rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    return static_cast<std::uint16_t>((u & 0x7fffffff) > 0x7f800000 ? nan : rounded);
  }
};

struct fp16 {
  // The exponent's bias is 112 less than that of fp32; the product also makes subnormal numbers normal.
  static float wide(std::uint16_t h) {
    const std::uint32_t magnitude = (h & 0x7fffu) << 13, sign = (h & 0x8000u) << 16;
    const auto scaled = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f);
    const std::uint32_t special = magnitude >= 0x0f800000 ? 0x7f800000u : 0u;  // infinity, NaN
    return std::bit_cast<float>(scaled | special | sign);
  }
  static std::uint16_t near(float x) {
    const auto u = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t magnitude = u & 0x7fffffff, sign = (u >> 16) & 0x8000;
    // Below 2^-14 the unit is 2^-24, which is what an addition of 0.5 rounds to.
    const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000;
    const std::uint32_t normal = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
    std::uint32_t h = magnitude < 0x38800000 ? subnormal : normal;
    h = magnitude >= 0x477ff000 ? 0x7c00 : h;  // rounds to 65536 or more: infinity
    h = magnitude > 0x7f800000 ? 0x7e00 : h;
    return static_cast<std::uint16_t>(h | sign);
  }
};

// One loop for each kind and job: target_clones and templates do not go together.
#define OPTIMIZER_LOOPS(kind)                                                                                        \
  OPTIMIZER_VECTORS void widen_##kind(const std::uint16_t* __restrict from, float* __restrict to, std::int64_t n) {  \
    for (std::int64_t i = 0; i < n; ++i) to[i] = kind::wide(from[i]);                                                \
  }                                                                                                                  \
  OPTIMIZER_VECTORS void narrow_##kind(const float* __restrict from, std::uint16_t* __restrict to, std::int64_t n) { \
    for (std::int64_t i = 0; i < n; ++i) to[i] = kind::near(from[i]);                                                \
  }                                                                                                                  \
  OPTIMIZER_VECTORS void follow_##kind(const std::uint16_t* __restrict value, float* __restrict master,              \
                                       std::int64_t n) {                                                             \
    for (std::int64_t i = 0; i < n; ++i)                                                                             \
      master[i] = kind::near(master[i]) == value[i] ? master[i] : kind::wide(value[i]);                              \
  }
OPTIMIZER_LOOPS(bf16)
OPTIMIZER_LOOPS(fp16)
#undef OPTIMIZER_LOOPS

}  // namespace

void widen(element kind, const std::uint16_t* from, float* to, std::int64_t n) {
  kind == element::bf16 ? widen_bf16(from, to, n) : widen_fp16(from, to, n);
}

void narrow(element kind, const float* from, std::uint16_t* to, std::int64_t n) {
  kind == element::bf16 ? narrow_bf16(from, to, n) : narrow_fp16(from, to, n);
}

void follow(element kind, const std::uint16_t* value, float* master, std::int64_t n) {
  kind == element::bf16 ? follow_bf16(value, master, n) : follow_fp16(value, master, n);
}

OPTIMIZER_VECTORS double sum_of_squares(const float* x, std::int64_t n) {
  constexpr int lanes = 8;
  double sum[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int lane = 0; lane < lanes; ++lane) {
      const double wide = double{x[i + lane]};
      sum[lane] += wide * wide;
    }
  for (int lane = 0; i < n; ++i, ++lane) sum[lane] += double{x[i]} * double{x[i]};
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

OPTIMIZER_VECTORS bool within(const float* x, std::int64_t n, float scale, float limit) {
  std::uint32_t beyond = 0;
  for (std::int64_t i = 0; i < n; ++i) beyond |= std::fabs(x[i] * scale) <= limit ? 0u : 1u;
  return beyond == 0;
}

}  // namespace optimizers
