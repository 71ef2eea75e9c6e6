#include "tensors.hpp"

#include <cmath>
#include <cstring>

#include "grpo/sdk/plugins/model.hpp"
#include "released.hpp"

namespace grpo::plugins::check {
namespace {

template <class Bits>
Bits bits_at(const char* data, std::int64_t i) {
  Bits out;
  std::memcpy(&out, data + i * static_cast<std::int64_t>(sizeof(Bits)), sizeof(Bits));
  return out;
}

// Calls f(is_finite, is_zero, value) for every stride-th element; half precision has no value here.
template <class F>
bool every(const grpo_tensor& t, std::int64_t stride, F&& f) {
  const std::int64_t n = elements(t);
  const char* data = data_of(t);
  for (std::int64_t i = 0; i < n; i += stride) {
    bool finite = true, zero = true;
    double value = 0;
    if (t.dl.bits == 64) {
      value = bits_at<double>(data, i);
      finite = std::isfinite(value), zero = value == 0;
    } else if (t.dl.bits == 32) {
      value = double{bits_at<float>(data, i)};
      finite = std::isfinite(value), zero = value == 0;
    } else {
      const auto bits = bits_at<std::uint16_t>(data, i);
      const std::uint16_t exponent = t.dl.type == GRPO_TYPE_BFLOAT ? 0x7F80 : 0x7C00;
      finite = (bits & exponent) != exponent, zero = (bits & 0x7FFF) == 0;
    }
    if (!f(finite, zero, value)) return false;
  }
  return true;
}

}  // namespace

std::string tensor_problem(const grpo_tensor* t) {
  if (!t) return "is NULL";
  if (too_short(t)) return "has a struct_size of " + std::to_string(t->struct_size);
  const grpo_dltensor& d = t->dl;
  if (d.ndim < 0 || d.ndim > 64 || (d.ndim > 0 && !d.shape))
    return "has " + std::to_string(d.ndim) + " dimensions without a shape";
  std::int64_t n = 1;
  for (std::int32_t i = 0; i < d.ndim; ++i) {
    if (d.shape[i] < 0) return "has the extent " + std::to_string(d.shape[i]);
    n *= d.shape[i];
  }
  if (n > 0 && !d.data) return "has no data";
  const bool known = d.type == GRPO_TYPE_INT || d.type == GRPO_TYPE_UINT || d.type == GRPO_TYPE_FLOAT ||
                     d.type == GRPO_TYPE_BFLOAT || d.type == GRPO_TYPE_BOOL;
  if (!known || d.bits == 0 || d.lanes == 0)
    return "has the type " + std::to_string(d.type) + " with " + std::to_string(d.bits) + " bits and " +
           std::to_string(d.lanes) + " lanes";
  if (d.device_type != GRPO_DEVICE_CPU && d.device_type != GRPO_DEVICE_CUDA && d.device_type != GRPO_DEVICE_CUDA_HOST)
    return "is on the unknown device " + std::to_string(d.device_type);
  return {};
}

bool same_shape(const grpo_tensor& a, const grpo_tensor& b) {
  if (a.dl.ndim != b.dl.ndim) return false;
  for (std::int32_t i = 0; i < a.dl.ndim; ++i)
    if (a.dl.shape[i] != b.dl.shape[i]) return false;
  return true;
}

bool readable(const grpo_tensor& t) {
  const bool real = (t.dl.type == GRPO_TYPE_FLOAT && (t.dl.bits == 16 || t.dl.bits == 32 || t.dl.bits == 64)) ||
                    (t.dl.type == GRPO_TYPE_BFLOAT && t.dl.bits == 16);
  return real && t.dl.lanes == 1 && t.dl.device_type != GRPO_DEVICE_CUDA && is_contiguous(t.dl);
}

std::int64_t elements(const grpo_tensor& tensor) { return element_count(tensor.dl); }

bool finite(const grpo_tensor& t, std::int64_t stride) {
  return !readable(t) || every(t, stride, [](bool is_finite, bool, double) { return is_finite; });
}

bool zero(const grpo_tensor& t, std::int64_t stride) {
  return !readable(t) || every(t, stride, [](bool, bool is_zero, double) { return is_zero; });
}

double squares(const grpo_tensor& t) {
  double sum = 0;
  every(t, 1, [&](bool, bool, double value) {
    sum += value * value;
    return true;
  });
  return sum;
}

std::uint64_t fingerprint(const grpo_tensor& t) {
  if (!readable(t)) return 0;
  const std::int64_t bytes = byte_count(t.dl), step = 1 + bytes / (16 * 8) / 8 * 8;
  std::uint64_t out = 14695981039346656037u;
  for (std::int64_t at = 0; at + 8 <= bytes; at += 8 * step)
    out = (out ^ bits_at<std::uint64_t>(data_of(t) + at, 0)) * 1099511628211u;
  if (bytes >= 2) out = (out ^ bits_at<std::uint16_t>(data_of(t) + bytes - 2, 0)) * 1099511628211u;
  return out;
}

}  // namespace grpo::plugins::check
