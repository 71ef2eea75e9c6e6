// tensors.hpp: tensors in host memory, for models, samplers and optimizers that hold fp32 arrays of their own.
#ifndef GRPO_TENSORS_HPP
#define GRPO_TENSORS_HPP

#include <grpo/model.h>

#include <cstring>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "boundary.hpp"

#pragma GCC visibility push(hidden)
namespace grpo {
inline namespace v1 {

// The first byte of a tensor's data.
template <class T>
T* data_of(const grpo_tensor& t) {
  return reinterpret_cast<T*>(static_cast<char*>(t.dl.data) + t.dl.byte_offset);
}

// fp32 in host memory, row-major without gaps, of this shape? Strings for messages: "[4, 8]".
inline bool is_fp32(const grpo_tensor& t, span<const std::int64_t> shape) {
  const grpo_dltensor& d = t.dl;
  if (d.device_type == GRPO_DEVICE_CUDA || d.type != GRPO_TYPE_FLOAT || d.bits != 32 || d.lanes != 1) return false;
  if (static_cast<std::size_t>(d.ndim) != shape.size()) return false;
  std::int64_t n = 1;
  for (std::size_t i = shape.size(); i-- > 0; n *= shape[i])
    if (d.shape[i] != shape[i] || (d.strides && shape[i] > 1 && d.strides[i] != n)) return false;
  return true;
}
inline std::string written(span<const std::int64_t> shape) {
  std::string text = "[";
  for (const std::int64_t n : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(n);
  return text + "]";
}

// The parameters of a model that keeps them as fp32 in host memory: their description, and the two streams of weights.
class parameter_list {
 public:
  parameter_list() = default;
  parameter_list(const parameter_list&) = delete;
  parameter_list& operator=(const parameter_list&) = delete;

  // value, gradient: row-major arrays of this shape that stay where they are. gradient NULL: frozen.
  void add(std::string name, std::vector<std::int64_t> shape, float* value, float* gradient) {
    described& d = all_.emplace_back();
    d.name = std::move(name);
    d.shape = std::move(shape);
    d.value = tensor_of(value, d.shape);
    d.parameter.struct_size = sizeof d.parameter;
    d.parameter.name = d.name.c_str();
    d.parameter.value = &d.value;
    d.parameter.flags = gradient ? 0 : GRPO_PARAMETER_FROZEN;
    if (gradient) {
      d.gradient = tensor_of(gradient, d.shape);
      d.parameter.gradient = &d.gradient;
    }
    list_.push_back(&d.parameter);
  }

  span<const grpo_parameter* const> list() const { return {list_.data(), list_.size()}; }
  std::int64_t elements() const {
    std::int64_t n = 0;
    for (const described& d : all_) n += count(d);
    return n;
  }

  // Every parameter into the sink, in order. Throws failure.
  void export_to(const grpo_tensor_sink& sink, const grpo_call* c) const {
    for (const described& d : all_) {
      const grpo_named_tensor named{sizeof named, 0, d.name.c_str(), &d.value};
      const grpo_named_tensor* const one[] = {&named};
      need(sink.put(&sink, c, 1, one));
    }
  }
  // Every parameter from the source. Throws failure, naming the tensor, and may then have read some.
  void import_from(const grpo_tensor_source& source, const grpo_call* c) {
    for (described& d : all_) {
      const grpo_tensor* t = nullptr;
      need(source.get(&source, c, d.name.c_str(), &t));
      if (!t) throw failure(GRPO_STATUS_INVALID, "the weights have no tensor " + d.name);
      if (!is_fp32(*t, d.shape))
        throw failure(GRPO_STATUS_INVALID,
                      "tensor " + d.name + " is not fp32 in host memory of the shape " + written(d.shape));
      std::memcpy(data_of<float>(d.value), data_of<const float>(*t),
                  static_cast<std::size_t>(count(d)) * sizeof(float));
    }
  }

 private:
  struct described {
    std::string name;
    std::vector<std::int64_t> shape;
    grpo_tensor value{}, gradient{};
    grpo_parameter parameter{};
  };
  static grpo_tensor tensor_of(float* data, std::vector<std::int64_t>& shape) {
    grpo_tensor t{};
    t.struct_size = sizeof t;
    t.dl = {data,         GRPO_DEVICE_CPU, 0, static_cast<std::int32_t>(shape.size()), GRPO_TYPE_FLOAT, 32, 1,
            shape.data(), nullptr,         0};
    return t;
  }
  static std::int64_t count(const described& d) {
    std::int64_t n = 1;
    for (const std::int64_t size : d.shape) n *= size;
    return n;
  }
  std::deque<described> all_;  // they stay where they are
  std::vector<const grpo_parameter*> list_;
};

}  // namespace v1
}  // namespace grpo
#pragma GCC visibility pop

#endif
