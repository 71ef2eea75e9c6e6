// weights.hpp: the parameters' values and gradients, and how they come in and go out.
#ifndef GRPO_TRANSFORMER_WEIGHTS_HPP
#define GRPO_TRANSFORMER_WEIGHTS_HPP

#include <ATen/ATen.h>
#include <grpo/model.h>

#include <filesystem>

#include "layout.hpp"

namespace grpo::transformer {

class Weights {
 public:
  // fp32 master values and gradients on the device, zero; compute: the type of matrix products. Gradients only if
  // trainable.
  Weights(Layout layout, at::Device device, at::ScalarType compute, bool trainable);

  // From a checkpoint: every shape is checked before the first byte is read.
  void load(const std::filesystem::path& directory);
  // From an adapter's directory (kit/adapter.hpp).
  void load_adapter(const std::filesystem::path& directory);
  // As PEFT: A uniform in +-1/sqrt(columns), B zero, so that nothing is added yet.
  void initialize_adapter(std::uint64_t seed);
  // Normal with the given deviation, norms 1, biases 0; a function of the seed alone.
  void randomize(std::uint64_t seed, double deviation);
  // After the values were written: renews the copies in the compute type.
  void refresh();

  void export_to(const grpo_call* call, const grpo_tensor_sink* sink) const;
  void import_from(const grpo_call* call, const grpo_tensor_source* source);

  const Layout& layout() const { return layout_; }
  at::Device device() const { return value_.device(); }
  at::ScalarType compute_type() const { return compute_.scalar_type(); }

  // Views. Matrices [rows, columns] and biases [rows] in the compute type; norms [rows] in fp32.
  at::Tensor matrix(const Range& r) const { return compute_.narrow(0, r.offset, r.size()).view({r.rows, r.columns}); }
  at::Tensor bias(const Range& r) const { return compute_.narrow(0, r.offset, r.rows); }
  at::Tensor norm(const Range& r) const { return value_.narrow(0, r.offset, r.rows); }
  // Only of what is trained; of a frozen vector a place that nobody reads.
  bool trains(const Range& r) const { return r.offset >= layout_.trained; }
  at::Tensor gradient_matrix(const Range& r) const {
    return gradient_.narrow(0, r.offset - layout_.trained, r.size()).view({r.rows, r.columns});
  }
  at::Tensor gradient_vector(const Range& r) const {
    return trains(r) ? gradient_.narrow(0, r.offset - layout_.trained, r.rows) : unread_.narrow(0, 0, r.rows);
  }
  // The matrix in fp32, with what its adapters add; a copy where it has some.
  at::Tensor merged(const Range& r) const;

  bool trainable() const { return gradient_.defined(); }
  at::Tensor& gradient() { return gradient_; }
  float* value_data() const { return value_.mutable_data_ptr<float>(); }
  float* gradient_data(std::int64_t offset) const {
    return gradient_.mutable_data_ptr<float>() + (offset - layout_.trained);
  }

 private:
  at::Tensor merged(const Parameter& p) const;

  Layout layout_;
  at::Tensor value_, compute_;  // [elements]; compute_ is value_ when the type is fp32
  at::Tensor gradient_;         // [elements - trained]
  at::Tensor unread_;
};

}  // namespace grpo::transformer

#endif
