// Weights in the order in which group_sums.cpp reads them.
#include <algorithm>
#include <cstring>

#include "simd.hpp"

namespace grpo::transformer::simd {
namespace {

constexpr std::int64_t width = linear_width;

std::int64_t groups_of(std::int64_t outputs) { return (outputs + width - 1) / width; }

std::uint16_t nearest_bfloat16(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// One group, outputs [first, last) of the weight.
template <typename Weight, typename Convert>
void pack_group(const float* weight, std::int64_t first, std::int64_t last, std::int64_t inputs, const Convert& convert,
                Weight* packed) {
  constexpr std::int64_t block = 16;  // inputs: a cache line of each output
  for (std::int64_t begin = 0; begin < inputs; begin += block)
    for (std::int64_t o = 0; o < width; ++o)
      for (std::int64_t k = begin; k < std::min(inputs, begin + block); ++k)
        packed[k * width + o] = first + o < last ? convert(weight[(first + o) * inputs + k]) : Weight{0};
}

// Group g goes to place first + g * step.
void pack_every(const float* weight, std::int64_t outputs, std::int64_t inputs, std::int64_t first, std::int64_t step,
                const PackedSpace& to) {
#pragma omp parallel for schedule(static)
  for (std::int64_t g = 0; g < groups_of(outputs); ++g) {
    const std::int64_t place = first + g * step, at = place * inputs * width;
    const std::int64_t begin = g * width, end = std::min(outputs, begin + width);
    switch (to.type) {
      case PackedType::float32:
        pack_group(
            weight, begin, end, inputs, [](float x) { return x; }, static_cast<float*>(to.data) + at);
        break;
      case PackedType::bfloat16:
        pack_group(weight, begin, end, inputs, nearest_bfloat16, static_cast<std::uint16_t*>(to.data) + at);
        break;
    }
  }
}

}  // namespace

std::int64_t packed_size(std::int64_t outputs, std::int64_t inputs) { return groups_of(outputs) * width * inputs; }

void pack(const float* weight, std::int64_t outputs, std::int64_t inputs, const PackedSpace& packed) {
  pack_every(weight, outputs, inputs, 0, 1, packed);
}

void pack_gated(const float* weight, std::int64_t outputs, std::int64_t inputs, const PackedSpace& packed) {
  pack_every(weight, outputs, inputs, 0, 2, packed);
  pack_every(weight + outputs * inputs, outputs, inputs, 1, 2, packed);
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
