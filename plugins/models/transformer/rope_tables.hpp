// rope_tables.hpp: the angles of positions as tensors, for Ops::rope.
#ifndef GRPO_TRANSFORMER_ROPE_TABLES_HPP
#define GRPO_TRANSFORMER_ROPE_TABLES_HPP

#include <ATen/ATen.h>

#include <utility>

#include "config.hpp"

namespace grpo::transformer {

// cos and sin of positions: [n, size / 2] fp32 on the device.
std::pair<at::Tensor, at::Tensor> rope_tables(const Config& config, const std::int32_t* positions, std::int64_t n,
                                              at::Device device);

}  // namespace grpo::transformer

#endif
