// numbers.hpp: fp32, bf16 and fp16 in loops that a compiler makes vectors of.
//
// A loop of your own gets the same treatment when it is a plain function (no template, no lambda):
//
//     GRPO_VECTORS static void add(const float* __restrict x, float* __restrict y, std::int64_t n) {
//       for (std::int64_t i = 0; i < n; ++i) y[i] += x[i];
//     }
#ifndef GRPO_NUMBERS_HPP
#define GRPO_NUMBERS_HPP

#include <cmath>
#include <cstdint>
#include <cstring>

// A second version of a loop for processors with AVX2, chosen when the library is loaded. The results have the same
// bits: every operation used is exactly rounded and none is fused. Not under sanitizers, whose code may not run that
// early.
#if defined(__x86_64__) && defined(__OPTIMIZE__) && defined(__has_attribute) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__) && !defined(__clang__)
#if __has_attribute(target_clones)
#define GRPO_VECTORS __attribute__((target_clones("avx2", "default")))
#endif
#endif
#ifndef GRPO_VECTORS
#define GRPO_VECTORS
#endif

#pragma GCC visibility push(hidden)
namespace grpo {
inline namespace v1 {

enum class element : std::uint8_t { fp32, bf16, fp16 };

namespace detail {

template <class To, class From>
inline To bits_of(From x) {
  static_assert(sizeof(To) == sizeof(From));
  To out;
  std::memcpy(&out, &x, sizeof out);
  return out;
}

struct bf16 {
  static float wide(std::uint16_t h) { return bits_of<float>(std::uint32_t{h} << 16); }
  static std::uint16_t near(float x) {
    const auto u = bits_of<std::uint32_t>(x);
    const std::uint32_t nan = (u >> 16) | 0x40, rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    return static_cast<std::uint16_t>((u & 0x7fffffff) > 0x7f800000 ? nan : rounded);
  }
};

struct fp16 {
  // The exponent's bias is 112 less than that of fp32; the product also makes subnormal numbers normal.
  static float wide(std::uint16_t h) {
    const std::uint32_t magnitude = (h & 0x7fffu) << 13, sign = (h & 0x8000u) << 16;
    const auto scaled = bits_of<std::uint32_t>(bits_of<float>(magnitude) * 0x1p112f);
    const std::uint32_t special = magnitude >= 0x0f800000 ? 0x7f800000u : 0u;  // infinity, NaN
    return bits_of<float>(scaled | special | sign);
  }
  static std::uint16_t near(float x) {
    const auto u = bits_of<std::uint32_t>(x);
    const std::uint32_t magnitude = u & 0x7fffffff, sign = (u >> 16) & 0x8000;
    // Below 2^-14 the unit is 2^-24, which is what an addition of 0.5 rounds to.
    const std::uint32_t subnormal = bits_of<std::uint32_t>(bits_of<float>(magnitude) + 0.5f) - 0x3f000000;
    const std::uint32_t normal = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
    std::uint32_t h = magnitude < 0x38800000 ? subnormal : normal;
    h = magnitude >= 0x477ff000 ? 0x7c00 : h;  // rounds to 65536 or more: infinity
    h = magnitude > 0x7f800000 ? 0x7e00 : h;
    return static_cast<std::uint16_t>(h | sign);
  }
};

// One loop for each kind and job: target_clones and templates do not go together. static, because the versions of an
// inline function would be found by name.
#define GRPO_LOOPS_(kind)                                                                                             \
  [[maybe_unused]] GRPO_VECTORS static void widen_##kind(const std::uint16_t* __restrict from, float* __restrict to,  \
                                                         std::int64_t n) {                                            \
    for (std::int64_t i = 0; i < n; ++i) to[i] = kind::wide(from[i]);                                                 \
  }                                                                                                                   \
  [[maybe_unused]] GRPO_VECTORS static void narrow_##kind(const float* __restrict from, std::uint16_t* __restrict to, \
                                                          std::int64_t n) {                                           \
    for (std::int64_t i = 0; i < n; ++i) to[i] = kind::near(from[i]);                                                 \
  }                                                                                                                   \
  [[maybe_unused]] GRPO_VECTORS static void follow_##kind(const std::uint16_t* __restrict value,                      \
                                                          float* __restrict master, std::int64_t n) {                 \
    for (std::int64_t i = 0; i < n; ++i)                                                                              \
      master[i] = kind::near(master[i]) == value[i] ? master[i] : kind::wide(value[i]);                               \
  }
GRPO_LOOPS_(bf16)
GRPO_LOOPS_(fp16)
#undef GRPO_LOOPS_

}  // namespace detail

// What is 16 bits wide, as fp32. kind: bf16 or fp16.
[[maybe_unused]] static void widen(element kind, const std::uint16_t* from, float* to, std::int64_t n) {
  kind == element::bf16 ? detail::widen_bf16(from, to, n) : detail::widen_fp16(from, to, n);
}

// The nearest value of 16 bits, the even one of two.
[[maybe_unused]] static void narrow(element kind, const float* from, std::uint16_t* to, std::int64_t n) {
  kind == element::bf16 ? detail::narrow_bf16(from, to, n) : detail::narrow_fp16(from, to, n);
}

// Where `narrow(master)` is not `value`, somebody else has written the value: master becomes that.
[[maybe_unused]] static void follow(element kind, const std::uint16_t* value, float* master, std::int64_t n) {
  kind == element::bf16 ? detail::follow_bf16(value, master, n) : detail::follow_fp16(value, master, n);
}

// The sum of squares in double, in an order that depends on n alone.
[[maybe_unused]] GRPO_VECTORS static double sum_of_squares(const float* x, std::int64_t n) {
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

// Is |x * scale| <= limit everywhere? A NaN is not.
[[maybe_unused]] GRPO_VECTORS static bool within(const float* x, std::int64_t n, float scale, float limit) {
  std::uint32_t beyond = 0;
  for (std::int64_t i = 0; i < n; ++i) beyond |= std::fabs(x[i] * scale) <= limit ? 0u : 1u;
  return beyond == 0;
}

}  // namespace v1
}  // namespace grpo
#pragma GCC visibility pop

#endif
