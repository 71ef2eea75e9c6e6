#include <cstring>

#include "grpo/sdk/error.hpp"
#include "wire/wire.hpp"

namespace grpo::plugins::wire {
namespace {

std::int64_t checked_product(const std::int64_t* shape, std::int64_t ndim) {
  std::int64_t n = 1;
  for (std::int64_t d = 0; d < ndim; ++d) {
    if (shape[d] < 0 || __builtin_mul_overflow(n, shape[d], &n))
      throw Error("a tensor with the dimension " + std::to_string(shape[d]) + " cannot be");
  }
  return n;
}

std::int64_t element_bytes(std::uint32_t bits, std::uint32_t lanes) {
  if (bits == 0 || bits % 8 != 0 || bits > 128 || lanes == 0 || lanes > 1024)
    throw Error("a tensor of elements of " + std::to_string(lanes) + " x " + std::to_string(bits) + " bits");
  return static_cast<std::int64_t>(bits) / 8 * lanes;
}

std::int64_t checked_bytes(std::int64_t n, std::int64_t each) {
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(n, each, &bytes) || bytes > static_cast<std::int64_t>(longest_message))
    throw Error("a tensor of " + std::to_string(n) + " elements is too large for a message");
  return bytes;
}

// Row-major, without gaps?
bool packed(const grpo_dltensor& t) {
  if (!t.strides) return true;
  std::int64_t expected = 1;
  for (std::int32_t d = t.ndim - 1; d >= 0; --d) {
    if (t.shape[d] != 1 && t.strides[d] != expected) return false;
    expected *= t.shape[d];
  }
  return true;
}

void copy_strided(const grpo_dltensor& t, std::int32_t d, const char* from, std::int64_t each, char*& to) {
  if (d == t.ndim) {
    std::memcpy(to, from, static_cast<std::size_t>(each));
    to += each;
    return;
  }
  for (std::int64_t i = 0; i < t.shape[d]; ++i) copy_strided(t, d + 1, from + i * t.strides[d] * each, each, to);
}

}  // namespace

std::int64_t elements(const grpo_dltensor& tensor) {
  if (tensor.ndim < 0 || tensor.ndim > 64) throw Error("a tensor of " + std::to_string(tensor.ndim) + " dimensions");
  return checked_product(tensor.shape, tensor.ndim);
}

void write_shape(const grpo_tensor& tensor, Tensor& out) {
  out.Clear();
  const grpo_dltensor& t = tensor.dl;
  out.set_elements(elements(t));
  out.set_type(t.type);
  out.set_bits(t.bits);
  out.set_lanes(t.lanes);
  out.set_flags(tensor.flags);
  out.set_device_type(t.device_type);
  for (std::int32_t d = 0; d < t.ndim; ++d) out.add_shape(t.shape[d]);
}

std::size_t packed_size(const grpo_dltensor& t) {
  if (t.device_type != GRPO_DEVICE_CPU && t.device_type != GRPO_DEVICE_CUDA_HOST)
    throw Error("a tensor on a device (type " + std::to_string(t.device_type) + ") cannot be copied into a message");
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(elements(t), element_bytes(t.bits, t.lanes), &bytes))
    throw Error("a tensor of " + std::to_string(elements(t)) + " elements is too large");
  return static_cast<std::size_t>(bytes);
}

void copy_packed(const grpo_dltensor& t, char* to) {
  const std::size_t bytes = packed_size(t);
  if (bytes == 0) return;
  const char* from = static_cast<const char*>(t.data) + t.byte_offset;
  if (packed(t))
    std::memcpy(to, from, bytes);
  else
    copy_strided(t, 0, from, element_bytes(t.bits, t.lanes), to);
}

void write(const grpo_tensor& tensor, Tensor& out) {
  const std::size_t bytes = packed_size(tensor.dl);
  checked_bytes(static_cast<std::int64_t>(bytes), 1);
  write_shape(tensor, out);
  out.clear_elements();
  out.mutable_data()->resize(bytes);
  copy_packed(tensor.dl, out.mutable_data()->data());
}

void write(const grpo_named_tensor& tensor, Tensor& out) {
  write(*tensor.tensor, out);
  out.set_name(tensor.name);
}

TensorView::TensorView(const Tensor& m) : name_(m.name()), shape_(m.shape().begin(), m.shape().end()) {
  if (m.elements() != 0)
    throw Error("the bytes of the tensor '" + name_ + "' were left out when it was written; only its shape is known");
  if (shape_.size() > 64) throw Error("a tensor of " + std::to_string(shape_.size()) + " dimensions");
  const std::int64_t n = checked_product(shape_.data(), static_cast<std::int64_t>(shape_.size()));
  const std::int64_t bytes = checked_bytes(n, element_bytes(m.bits(), m.lanes()));
  if (bytes != static_cast<std::int64_t>(m.data().size()))
    throw Error("the tensor '" + name_ + "' has " + std::to_string(m.data().size()) + " bytes; its shape makes " +
                std::to_string(bytes));
  storage_.resize(m.data().size() / 8 + 9);
  auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
  address = (address + 63) / 64 * 64;
  std::memcpy(reinterpret_cast<void*>(address), m.data().data(), m.data().size());
  tensor_.struct_size = sizeof tensor_;
  tensor_.flags = m.flags();
  tensor_.dl.data = reinterpret_cast<void*>(address);
  tensor_.dl.device_type = GRPO_DEVICE_CPU;
  tensor_.dl.ndim = static_cast<std::int32_t>(shape_.size());
  tensor_.dl.type = static_cast<std::uint8_t>(m.type());
  tensor_.dl.bits = static_cast<std::uint8_t>(m.bits());
  tensor_.dl.lanes = static_cast<std::uint16_t>(m.lanes());
  tensor_.dl.shape = shape_.data();
  named_.struct_size = sizeof named_;
  named_.name = name_.c_str();
  named_.tensor = &tensor_;
}

}  // namespace grpo::plugins::wire
