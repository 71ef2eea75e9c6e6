// flash.hpp: LibTorch's flash attention on CUDA, for packed sequences of different lengths.
//
// Main idea. Whether it works is asked of the machine, not of a table of versions: the first use computes small cases,
// forward and backward, and compares them with plain operations. Where that fails, callers stay with those. On the CPU
// the same functions do the same by plain operations, one sequence after the other: for tests.
#ifndef GRPO_TRANSFORMER_FLASH_HPP
#define GRPO_TRANSFORMER_FLASH_HPP

#include <ATen/ATen.h>

#include <string>
#include <vector>

namespace grpo::transformer::flash {

// Packed sequences: sequence i has queries [q_start[i], q_start[i + 1]) and keys [k_start[i], k_start[i + 1]). Its last
// query stands at its last key. Starts are int32 on the device.
struct Sequences {
  at::Tensor q_start, k_start;  // [n + 1]
  std::int64_t q_longest = 0, k_longest = 0;
  at::Tensor k_used;  // [n] int32: only so many of the keys count; undefined: all
  bool causal = true;
  std::int64_t window = 0;  // > 0: a query sees so many keys, the one at its place counted
};

struct Result {
  at::Tensor out;  // [queries, heads, size]
  at::Tensor lse;  // [queries, heads] fp32
};

// Throws c10::Error where why_not() is not empty, if it is a device.
Result forward(const Sequences& s, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

struct Gradients {
  at::Tensor q, k, v;
};
// out and lse may be those of more keys than these: then these are their shares of the gradients.
Gradients backward(const Sequences& s, const at::Tensor& dout, const at::Tensor& q, const at::Tensor& k,
                   const at::Tensor& v, const at::Tensor& out, const at::Tensor& lse);

// Empty if the kernels work here; tried once a process for each device, type and shape of heads.
std::string why_not(at::Device device, at::ScalarType type, std::int64_t heads, std::int64_t kv_heads,
                    std::int64_t size);

// [0, sizes...] summed up, as Sequences wants it.
at::Tensor starts(const std::vector<std::int64_t>& sizes, at::Device device);

}  // namespace grpo::transformer::flash

#endif
