// Element types and their conversions.
#include <array>
#include <bit>
#include <cstring>
#include <stdexcept>

#include "dtype.hpp"

namespace grpo::kit {
namespace {

struct Row {
  std::string_view name;
  std::size_t size;
};

// In the order of Dtype.
constexpr std::array<Row, 15> dtypes{{{"BOOL", 1},
                                      {"U8", 1},
                                      {"I8", 1},
                                      {"F8_E5M2", 1},
                                      {"F8_E4M3", 1},
                                      {"U16", 2},
                                      {"I16", 2},
                                      {"F16", 2},
                                      {"BF16", 2},
                                      {"U32", 4},
                                      {"I32", 4},
                                      {"F32", 4},
                                      {"U64", 8},
                                      {"I64", 8},
                                      {"F64", 8}}};

template <typename T>
T load(const void* from, std::size_t i) {
  T value;
  std::memcpy(&value, static_cast<const std::byte*>(from) + i * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

std::size_t dtype_size(Dtype dtype) { return dtypes.at(static_cast<std::size_t>(dtype)).size; }
std::string_view dtype_name(Dtype dtype) { return dtypes.at(static_cast<std::size_t>(dtype)).name; }

std::optional<Dtype> parse_dtype(std::string_view name) {
  for (std::size_t i = 0; i < dtypes.size(); ++i)
    if (dtypes[i].name == name) return static_cast<Dtype>(i);
  return std::nullopt;
}

float bf16_to_float(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

std::uint16_t float_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);  // NaN stays one
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

float f16_to_float(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = bits >> 10 & 0x1fu, fraction = bits & 0x3ffu;
  if (exponent == 0x1fu) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112u) << 23 | fraction << 13);
  const float small = static_cast<float>(fraction) * 0x1p-24f;  // zero and subnormals, exactly
  return sign ? -small : small;
}

void f16_to_float(const void* from, float* to, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) to[i] = f16_to_float(load<std::uint16_t>(from, i));
}

void bf16_to_float(const void* from, float* to, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) to[i] = bf16_to_float(load<std::uint16_t>(from, i));
}

void float_to_bf16(const float* from, void* to, std::size_t n) {
  auto* out = static_cast<std::byte*>(to);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint16_t bits = float_to_bf16(from[i]);
    std::memcpy(out + i * sizeof bits, &bits, sizeof bits);
  }
}

void to_float(const TensorView& tensor, float* to) {
  const auto n = static_cast<std::size_t>(tensor.elements());
  switch (tensor.dtype) {
    case Dtype::f32:
      if (n != 0) std::memcpy(to, tensor.data, n * sizeof(float));
      return;
    case Dtype::bf16:
      return bf16_to_float(tensor.data, to, n);
    case Dtype::f16:
      return f16_to_float(tensor.data, to, n);
    case Dtype::f64:
      for (std::size_t i = 0; i < n; ++i) to[i] = static_cast<float>(load<double>(tensor.data, i));
      return;
    default:
      throw std::runtime_error("tensor \"" + tensor.name + "\" has type " + std::string(dtype_name(tensor.dtype)) +
                               ", which is no floating type of F32, BF16, F16, F64");
  }
}

std::int64_t TensorView::elements() const {
  std::int64_t n = 1;
  for (const auto size : shape) n *= size;
  return n;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace grpo::kit
