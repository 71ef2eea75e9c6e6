#include "dequantize.hpp"

#include <bit>
#include <cstring>
#include <grpo/kit/safetensors.hpp>

namespace grpo::import {
namespace {

using Byte = std::uint8_t;

std::uint16_t u16_at(const Byte* p) {
  std::uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
std::uint32_t u32_at(const Byte* p) {
  std::uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
float half(const Byte* p) { return kit::f16_to_float(u16_at(p)); }

void f32(const Byte* b, float* to) { std::memcpy(to, b, sizeof *to); }
void f16(const Byte* b, float* to) { *to = half(b); }
void bf16(const Byte* b, float* to) { *to = kit::bf16_to_float(u16_at(b)); }

// scale, 16 bytes: value i in the low half of byte i, value i + 16 in its high half
void q4_0(const Byte* b, float* to) {
  const float d = half(b);
  for (int i = 0; i < 16; ++i) {
    to[i] = d * static_cast<float>((b[2 + i] & 15) - 8);
    to[i + 16] = d * static_cast<float>((b[2 + i] >> 4) - 8);
  }
}

// scale, minimum, 16 bytes
void q4_1(const Byte* b, float* to) {
  const float d = half(b), m = half(b + 2);
  for (int i = 0; i < 16; ++i) {
    to[i] = d * static_cast<float>(b[4 + i] & 15) + m;
    to[i + 16] = d * static_cast<float>(b[4 + i] >> 4) + m;
  }
}

// scale, fifth bits of all 32, 16 bytes
void q5_0(const Byte* b, float* to) {
  const float d = half(b);
  const std::uint32_t high = u32_at(b + 2);
  for (int i = 0; i < 16; ++i) {
    const int low = (b[6 + i] & 15) | static_cast<int>((high >> i & 1) << 4);
    const int upper = (b[6 + i] >> 4) | static_cast<int>((high >> (i + 16) & 1) << 4);
    to[i] = d * static_cast<float>(low - 16);
    to[i + 16] = d * static_cast<float>(upper - 16);
  }
}

void q5_1(const Byte* b, float* to) {
  const float d = half(b), m = half(b + 2);
  const std::uint32_t high = u32_at(b + 4);
  for (int i = 0; i < 16; ++i) {
    const int low = (b[8 + i] & 15) | static_cast<int>((high >> i & 1) << 4);
    const int upper = (b[8 + i] >> 4) | static_cast<int>((high >> (i + 16) & 1) << 4);
    to[i] = d * static_cast<float>(low) + m;
    to[i + 16] = d * static_cast<float>(upper) + m;
  }
}

void q8_0(const Byte* b, float* to) {
  const float d = half(b);
  for (int i = 0; i < 32; ++i) to[i] = d * static_cast<float>(static_cast<std::int8_t>(b[2 + i]));
}

// The eight scales and minima of a K block, six bits each, in twelve bytes: the first four have bytes of their own, the
// last four are made of those bytes' upper bits and of the last four bytes.
void k_scales(const Byte* s, int j, int* scale, int* minimum) {
  if (j < 4) {
    *scale = s[j] & 63;
    *minimum = s[j + 4] & 63;
  } else {
    *scale = (s[j + 4] & 15) | (s[j - 4] >> 6 << 4);
    *minimum = (s[j + 4] >> 4) | (s[j] >> 6 << 4);
  }
}

// scale, minimum scale, 12 bytes of scales, 128 bytes: 32 bytes hold two runs of 32 values
void q4_k(const Byte* b, float* to) {
  const float d = half(b), dm = half(b + 2);
  for (int j = 0; j < 8; ++j) {
    int scale = 0, minimum = 0;
    k_scales(b + 4, j, &scale, &minimum);
    const float by = d * static_cast<float>(scale), less = dm * static_cast<float>(minimum);
    const Byte* q = b + 16 + 32 * (j / 2);
    for (int i = 0; i < 32; ++i) to[32 * j + i] = by * static_cast<float>(j % 2 ? q[i] >> 4 : q[i] & 15) - less;
  }
}

// as Q4_K, with the fifth bits of run j in bit j of 32 bytes
void q5_k(const Byte* b, float* to) {
  const float d = half(b), dm = half(b + 2);
  for (int j = 0; j < 8; ++j) {
    int scale = 0, minimum = 0;
    k_scales(b + 4, j, &scale, &minimum);
    const float by = d * static_cast<float>(scale), less = dm * static_cast<float>(minimum);
    const Byte *high = b + 16, *q = b + 48 + 32 * (j / 2);
    for (int i = 0; i < 32; ++i) {
      const int v = (j % 2 ? q[i] >> 4 : q[i] & 15) | ((high[i] >> j & 1) << 4);
      to[32 * j + i] = by * static_cast<float>(v) - less;
    }
  }
}

// 128 bytes of low halves, 64 of upper two bits, 16 signed scales of 16 values, scale
void q6_k(const Byte* b, float* to) {
  const Byte *low = b, *high = b + 128, *scales = b + 192;
  const float d = half(b + 208);
  for (int i = 0; i < 256; ++i) {
    const int half_block = i / 128, run = i % 128 / 32, lane = i % 32;
    const Byte l = low[64 * half_block + 32 * (run % 2) + lane];
    const int nibble = run < 2 ? l & 15 : l >> 4;
    const int v = (nibble | ((high[32 * half_block + lane] >> (2 * run) & 3) << 4)) - 32;
    const float by = d * static_cast<float>(static_cast<std::int8_t>(scales[i / 16]));
    to[i] = by * static_cast<float>(v);
  }
}

constexpr QuantType types[] = {
    {0, "F32", 1, 4, f32},        {1, "F16", 1, 2, f16},        {2, "Q4_0", 32, 18, q4_0}, {3, "Q4_1", 32, 20, q4_1},
    {6, "Q5_0", 32, 22, q5_0},    {7, "Q5_1", 32, 24, q5_1},    {8, "Q8_0", 32, 34, q8_0}, {12, "Q4_K", 256, 144, q4_k},
    {13, "Q5_K", 256, 176, q5_k}, {14, "Q6_K", 256, 210, q6_k}, {30, "BF16", 1, 2, bf16},
};
constexpr struct {
  std::uint32_t id;
  const char* name;
} others[] = {{9, "Q8_1"},     {10, "Q2_K"},  {11, "Q3_K"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"},
              {18, "IQ3_XXS"}, {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"}, {22, "IQ2_S"},   {23, "IQ4_XS"},
              {24, "I8"},      {25, "I16"},   {26, "I32"},    {27, "I64"},   {28, "F64"},     {29, "IQ1_M"},
              {34, "TQ1_0"},   {35, "TQ2_0"}, {39, "MXFP4"}};

}  // namespace

const QuantType* quant_type(std::uint32_t id) {
  for (const auto& t : types)
    if (t.id == id) return &t;
  return nullptr;
}

std::string quant_type_name(std::uint32_t id) {
  if (const auto* t = quant_type(id)) return t->name;
  for (const auto& o : others)
    if (o.id == id) return o.name;
  return "number " + std::to_string(id);
}

std::string quant_type_names() {
  std::string out;
  for (const auto& t : types) out.append(out.empty() ? "" : ", ").append(t.name);
  return out;
}

void dequantize(const QuantType& type, const void* data, std::int64_t n, float* to) {
  const auto* block = static_cast<const Byte*>(data);
  for (std::int64_t i = 0; i < n; i += type.block, block += type.bytes) type.widen(block, to + i);
}

std::uint16_t float_to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
  const std::uint32_t size = bits & 0x7fffffff;
  if (size > 0x7f800000) return sign | 0x7e00;                  // NaN
  if (size >= 0x477ff000) return sign | 0x7c00;                 // rounds beyond 65504
  if (size < 0x38800000) {                                      // subnormal: a multiple of 2^-24
    const float scaled = std::bit_cast<float>(size) * 0x1p24F;  // exact
    const auto whole = static_cast<std::uint32_t>(scaled);
    const float rest = scaled - static_cast<float>(whole);
    return static_cast<std::uint16_t>(sign | (whole + (rest > 0.5F || (rest == 0.5F && (whole & 1)))));
  }
  const std::uint32_t rounded = size + 0xfff + (size >> 13 & 1);  // to nearest even
  return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000) >> 13));
}

}  // namespace grpo::import
