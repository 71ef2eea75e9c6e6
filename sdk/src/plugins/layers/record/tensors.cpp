#include "tensors.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "grpo/sdk/plugins/model.hpp"

namespace grpo::plugins::record {
namespace {

// Elements begin, begin + step, ... of the flattened tensor, n of them.
void write_some(const grpo_tensor& tensor, std::int64_t begin, std::int64_t step, std::int64_t n, wire::Tensor& out) {
  const grpo_dltensor& t = tensor.dl;
  if (!is_contiguous(t) || t.device_type == GRPO_DEVICE_CUDA || (t.bits % 8) != 0) {
    wire::write(tensor, out);  // says what is the matter with it, or copies it whole
    return;
  }
  wire::write_shape(tensor, out);
  out.clear_elements();
  out.clear_shape();
  out.add_shape(n);
  const auto each = static_cast<std::size_t>(t.bits / 8 * t.lanes);
  std::string& data = *out.mutable_data();
  data.resize(static_cast<std::size_t>(n) * each);
  const char* from = static_cast<const char*>(t.data) + t.byte_offset;
  if (step == 1 && n > 0) {
    std::memcpy(data.data(), from + static_cast<std::size_t>(begin) * each, data.size());
    return;
  }
  for (std::int64_t i = 0; i < n; ++i)
    std::memcpy(data.data() + static_cast<std::size_t>(i) * each,
                from + static_cast<std::size_t>(begin + i * step) * each, each);
}

double half(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == 31) return fraction ? std::nan("") : sign * HUGE_VAL;
  return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024, exponent - 25));
}

template <class T, class F>
void each(const std::string& data, std::vector<double>& out, F f) {
  out.resize(data.size() / sizeof(T));
  for (std::size_t i = 0; i < out.size(); ++i) {
    T x;
    std::memcpy(&x, data.data() + i * sizeof(T), sizeof(T));
    out[i] = f(x);
  }
}

}  // namespace

std::int64_t bytes_of(const grpo_tensor& tensor) {
  return wire::elements(tensor.dl) * ((tensor.dl.bits * tensor.dl.lanes + 7) / 8);
}

void write_first(const grpo_tensor& tensor, std::int64_t n, wire::Tensor& out) {
  const std::int64_t all = wire::elements(tensor.dl);
  if (all <= n)
    wire::write(tensor, out);
  else
    write_some(tensor, 0, 1, n, out);
}

void write_spread(const grpo_tensor& tensor, std::int64_t n, wire::Tensor& out) {
  const std::int64_t all = wire::elements(tensor.dl);
  if (all <= n)
    wire::write(tensor, out);
  else
    write_some(tensor, 0, all / n, n, out);
}

bool numbers_of(const wire::Tensor& t, std::vector<double>& out) {
  if (t.lanes() != 1) return false;
  if (t.type() == GRPO_TYPE_FLOAT && t.bits() == 32)
    each<float>(t.data(), out, [](float x) { return static_cast<double>(x); });
  else if (t.type() == GRPO_TYPE_FLOAT && t.bits() == 64)
    each<double>(t.data(), out, [](double x) { return x; });
  else if (t.type() == GRPO_TYPE_BFLOAT && t.bits() == 16)
    each<std::uint16_t>(t.data(), out, [](std::uint16_t x) {
      return double{std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16)};
    });
  else if (t.type() == GRPO_TYPE_FLOAT && t.bits() == 16)
    each<std::uint16_t>(t.data(), out, half);
  else if (t.type() == GRPO_TYPE_INT && t.bits() == 32)
    each<std::int32_t>(t.data(), out, [](std::int32_t x) { return static_cast<double>(x); });
  else
    return false;
  return true;
}

std::uint64_t fingerprint(const std::string& bytes) {
  std::uint64_t hash = 14695981039346656037u + bytes.size();
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + i, 8);
    hash = (hash ^ word) * 1099511628211u;
    hash ^= hash >> 29;
  }
  for (; i < bytes.size(); ++i) hash = (hash ^ static_cast<unsigned char>(bytes[i])) * 1099511628211u;
  return hash;
}

}  // namespace grpo::plugins::record
