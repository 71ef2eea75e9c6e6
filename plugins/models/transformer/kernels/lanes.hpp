// lanes.hpp: vectors of 16 floats, for the files of this folder alone.
//
// Each loop is compiled for three instruction sets (CLONES) and the machine picks at load. Vectors wider than the
// baseline's registers never cross a call that is not inlined, so their calling convention does not matter.
#ifndef GRPO_TRANSFORMER_KERNELS_LANES_HPP
#define GRPO_TRANSFORMER_KERNELS_LANES_HPP

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONES
#endif
#define INLINE __attribute__((always_inline)) static inline

namespace grpo::transformer::simd {

// What this machine has, where a loop is written anew for each size of register file: 32 registers of 16 floats, 16 of
// 8, 16 of 4.
enum class Registers { v4, v3, plain };
inline Registers registers_of_this_machine() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return Registers::v4;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
    return Registers::v3;
#endif
  return Registers::plain;
}

constexpr std::int64_t lanes = 16;
using Floats = float __attribute__((vector_size(64)));
using Ints = std::int32_t __attribute__((vector_size(64)));

INLINE void load(const float* from, Floats& to) { std::memcpy(&to, from, sizeof to); }
INLINE void store(const Floats& from, float* to) { std::memcpy(to, &from, sizeof from); }

INLINE void load(const std::uint16_t* from, Floats& to) {  // bfloat16: the upper half of an fp32
  using Halves = std::uint16_t __attribute__((vector_size(32)));
  Halves halves;
  std::memcpy(&halves, from, sizeof halves);
  const Ints bits = __builtin_convertvector(halves, Ints) << 16;
  std::memcpy(&to, &bits, sizeof to);
}

// The lanes added in pairs: the same order everywhere.
INLINE float sum_lanes(const Floats& v) {
  float x[lanes];
  store(v, x);
  for (std::int64_t half = lanes / 2; half > 0; half /= 2)
    for (std::int64_t i = 0; i < half; ++i) x[i] += x[i + half];
  return x[0];
}

INLINE float max_lanes(const Floats& v) {
  float best = v[0];
  for (std::int64_t i = 1; i < lanes; ++i) best = v[i] > best ? v[i] : best;
  return best;
}

// exp to about 1 ulp: x = n ln 2 + r, a polynomial in r, n into the exponent. Under -87.3: 0.
INLINE void exp_lanes(const Floats& x, Floats& y) {
  const Floats magic = Floats{} + 12582912.0f;  // 1.5 * 2^23: rounds to an integer in the low bits
  const Floats clamped = x > -87.3f ? (x < 88.7f ? x : Floats{} + 88.7f) : Floats{} - 87.3f;
  const Floats shifted = clamped * 1.44269504088896341f + magic;
  const Floats n = shifted - magic;
  const Floats r = clamped - n * 0.693359375f + n * 2.12194440e-4f;
  Floats p = Floats{} + 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  Ints bits, power;
  std::memcpy(&bits, &shifted, sizeof bits);
  std::memcpy(&power, &p, sizeof power);
  power += bits << 23;
  std::memcpy(&p, &power, sizeof p);
  y = x > -87.3f ? p : Floats{};
}

INLINE float exp_one(float x) {
  const Floats v = Floats{} + x;
  Floats y;
  exp_lanes(v, y);
  return y[0];
}

// Scalar ends where the size is no multiple of 16.
INLINE float dot_lanes(const float* a, const float* b, std::int64_t n) {
  Floats sum{}, x, y;
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    load(a + i, x);
    load(b + i, y);
    sum += x * y;
  }
  float rest = 0;
  for (; i < n; ++i) rest += a[i] * b[i];
  return sum_lanes(sum) + rest;
}

// 1 / rms(x).
INLINE float norm_factor(const float* x, std::int64_t n, double eps) {
  const double mean = static_cast<double>(dot_lanes(x, x, n)) / static_cast<double>(n);
  return static_cast<float>(1.0 / std::sqrt(mean + eps));
}

// Pairs (i, i + half) turned by their angle.
INLINE void turn_head(float* x, std::int64_t half, const float* cos, const float* sin, float direction) {
  for (std::int64_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[i + half], s = sin[i] * direction;
    x[i] = a * cos[i] - b * s;
    x[i + half] = b * cos[i] + a * s;
  }
}

INLINE void swiglu_lanes(const float* gate, const float* up, std::int64_t n, float* out) {
  std::int64_t i = 0;
  Floats g, u, e;
  for (; i + lanes <= n; i += lanes) {
    load(gate + i, g);
    load(up + i, u);
    exp_lanes(-g, e);
    store(g / (e + 1.0f) * u, out + i);
  }
  for (; i < n; ++i) out[i] = gate[i] / (exp_one(-gate[i]) + 1.0f) * up[i];
}

}  // namespace grpo::transformer::simd

#endif
