// Weights in the order in which linear.cpp reads them.
#include <algorithm>
#include <cstring>

#include "simd.hpp"

namespace grpo::transformer::simd {
namespace {
constexpr std::int64_t width = linear_width;
}

std::int64_t packed_size(std::int64_t outputs, std::int64_t inputs) {
  return (outputs + width - 1) / width * width * inputs;
}

namespace {

std::uint16_t nearest_bfloat16(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// Group g goes to place g * step.
template <typename Weight, typename Convert>
void pack_as(const float* weight, std::int64_t outputs, std::int64_t inputs, std::int64_t step, const Convert& convert,
             Weight* to) {
  constexpr std::int64_t block = 16;  // inputs: a cache line of each output
  const std::int64_t groups = (outputs + width - 1) / width;
#pragma omp parallel for schedule(static)
  for (std::int64_t g = 0; g < groups; ++g) {
    Weight* packed = to + g * step * inputs * width;
    for (std::int64_t begin = 0; begin < inputs; begin += block)
      for (std::int64_t o = 0; o < width; ++o) {
        const std::int64_t row = g * width + o;
        for (std::int64_t k = begin; k < std::min(inputs, begin + block); ++k)
          packed[k * width + o] = row < outputs ? convert(weight[row * inputs + k]) : Weight{0};
      }
  }
}

// Every step-th group, from the one of number `first` on.
void pack_every(const float* weight, std::int64_t outputs, std::int64_t inputs, PackedType type, std::int64_t first,
                std::int64_t step, void* packed) {
  const std::int64_t offset = first * inputs * width;
  if (type == PackedType::float32)
    pack_as(
        weight, outputs, inputs, step, [](float x) { return x; }, static_cast<float*>(packed) + offset);
  else
    pack_as(weight, outputs, inputs, step, nearest_bfloat16, static_cast<std::uint16_t*>(packed) + offset);
}

}  // namespace

void pack(const float* weight, std::int64_t outputs, std::int64_t inputs, PackedType type, void* packed) {
  pack_every(weight, outputs, inputs, type, 0, 1, packed);
}

void pack_gated(const float* weight, std::int64_t outputs, std::int64_t inputs, PackedType type, void* packed) {
  pack_every(weight, outputs, inputs, type, 0, 2, packed);
  pack_every(weight + outputs * inputs, outputs, inputs, type, 1, 2, packed);
}

bool fits_bfloat16(const float* x, std::int64_t n) {
  constexpr std::int64_t block = 4096;  // stops soon when it does not
  for (std::int64_t begin = 0; begin < n; begin += block) {
    std::uint32_t lost = 0;
    for (std::int64_t i = begin; i < std::min(n, begin + block); ++i) {
      std::uint32_t bits;
      std::memcpy(&bits, x + i, sizeof bits);
      lost |= bits & 0xffff;
    }
    if (lost) return false;
  }
  return true;
}

}  // namespace grpo::transformer::simd
