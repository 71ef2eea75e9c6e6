// adapter.hpp: what adapters add to a matrix product, and their gradients.
//
//     y[part] += scale B (A x)         A of all parts of a matrix at once: it is one product more for each matrix
#ifndef GRPO_TRANSFORMER_ADAPTER_HPP
#define GRPO_TRANSFORMER_ADAPTER_HPP

#include <ATen/ATen.h>

#include "weights.hpp"

namespace grpo::transformer {

// x: [n, columns] in the compute type; y: [n, rows] is added to.
void add_adapted(const Weights& weights, const AdapterLayout& adapter, const at::Tensor& x, const at::Tensor& y);

// Adds to the gradients of A and B. Returns what the adapters give to dL/dx, [n, columns].
at::Tensor adapted_backward(Weights& weights, const AdapterLayout& adapter, const at::Tensor& dy, const at::Tensor& x);

// Dropout: factors 0 or 1 / (1 - p) for a matrix's input, a function of the key alone.
at::Tensor dropout_mask(std::uint64_t key, double p, const at::Tensor& like);

}  // namespace grpo::transformer

#endif
