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
  at::Tensor gradient_matrix(const Range& r) const {
    return gradient_.narrow(0, r.offset, r.size()).view({r.rows, r.columns});
  }
  at::Tensor gradient_vector(const Range& r) const { return gradient_.narrow(0, r.offset, r.rows); }

  bool trainable() const { return gradient_.defined(); }
  at::Tensor& gradient() { return gradient_; }
  float* value_data() const { return value_.mutable_data_ptr<float>(); }
  float* gradient_data() const { return gradient_.mutable_data_ptr<float>(); }

 private:
  Layout layout_;
  at::Tensor value_, gradient_, compute_;  // [elements]; compute_ is value_ when the type is fp32
};

}  // namespace grpo::transformer

#endif
