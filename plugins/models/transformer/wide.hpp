// wide.hpp: products of 16-bit matrices with results in fp32, without rounding them to 16 bits on the way.
//
// Main idea. A GPU adds up in fp32 anyway. Logits rounded to bf16 are wrong by up to 2^-8 of their size, a tenth and
// more where they are large, and gradients would be rounded once for each micro batch. LibTorch has such products on
// CUDA alone; whether they work is asked of the machine, as in flash.hpp. Elsewhere the result is rounded, then
// widened.
#ifndef GRPO_TRANSFORMER_WIDE_HPP
#define GRPO_TRANSFORMER_WIDE_HPP

#include <ATen/ATen.h>

namespace grpo::transformer::wide {

// y = a b and y += a b: y [m, n] fp32 without gaps, a [m, k] and b [k, n] of one 16-bit type. [same thread]
void set(const at::Tensor& y, const at::Tensor& a, const at::Tensor& b);
void add(const at::Tensor& y, const at::Tensor& a, const at::Tensor& b);

}  // namespace grpo::transformer::wide

#endif
