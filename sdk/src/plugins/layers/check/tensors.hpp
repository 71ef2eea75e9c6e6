// tensors.hpp: tensors of a plugin, looked at. Those on a device are not read.
#ifndef GRPO_PLUGINS_CHECK_TENSORS_HPP
#define GRPO_PLUGINS_CHECK_TENSORS_HPP

#include <grpo/tensor.h>

#include <cstdint>
#include <string>

namespace grpo::plugins::check {

// What is wrong with it; empty: nothing.
std::string tensor_problem(const grpo_tensor* tensor);
bool same_shape(const grpo_tensor& a, const grpo_tensor& b);

// In host memory, without gaps, of a floating-point type: what the functions below can read.
bool readable(const grpo_tensor& tensor);
std::int64_t elements(const grpo_tensor& tensor);

// Is every `stride`-th element finite? True for what is not readable.
bool finite(const grpo_tensor& tensor, std::int64_t stride);
bool zero(const grpo_tensor& tensor, std::int64_t stride);
double squares(const grpo_tensor& tensor);

// Of some elements' bits.
std::uint64_t fingerprint(const grpo_tensor& tensor);

// With this stride some four million elements of `total` are read.
inline std::int64_t stride_for(std::int64_t total) { return 1 + total / (std::int64_t{1} << 22); }

}  // namespace grpo::plugins::check

#endif
