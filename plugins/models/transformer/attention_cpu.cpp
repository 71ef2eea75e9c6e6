// Attention of a forest by the kernels for fp32 in host memory.
#include <cmath>

#include "kernels/simd.hpp"
#include "ops.hpp"

namespace grpo::transformer {
namespace {

using at::Tensor;

// The kernel's view of it, memory included.
struct Call {
  Call(const std::vector<Block>& blocks, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
       const Tensor& lse, Arena& arena)
      : scratch(arena), before(arena.mark()) {
    for (const auto& b : blocks)
      block.push_back({b.q, b.q_size, b.k, b.k_size, b.distance, b.window, !b.causal && b.window == 0});
    a.block = block.data();
    a.blocks = static_cast<std::int64_t>(block.size());
    a.tokens = q.size(0);
    a.kv_heads = k.size(1);
    a.group = q.size(1) / k.size(1);
    a.size = q.size(2);
    a.q = q.const_data_ptr<float>();
    a.k = k.const_data_ptr<float>();
    a.v = v.const_data_ptr<float>();
    a.qk_stride = q.stride(0);
    a.v_stride = v.stride(0);
    a.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(a.size)));
    a.out = out.mutable_data_ptr<float>();
    a.lse = lse.mutable_data_ptr<float>();
    memory = scratch.take({simd::forest_attention_scratch(a)}, at::kFloat).mutable_data_ptr<float>();
  }
  ~Call() { scratch.rewind(before); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Arena& scratch;
  Arena::Mark before;
  std::vector<simd::AttentionBlock> block;
  simd::ForestAttention a{};
  float* memory = nullptr;
};

}  // namespace

void attention_cpu(const std::vector<Block>& blocks, const Tensor& q, const Tensor& k, const Tensor& v, Arena& scratch,
                   const Tensor& out, const Tensor& lse) {
  const Call call(blocks, q, k, v, out, lse, scratch);
  simd::forest_attention(call.a, call.memory);
}

void attention_cpu_backward(const std::vector<Block>& blocks, const Tensor& dout, const Tensor& q, const Tensor& k,
                            const Tensor& v, const Tensor& out, const Tensor& lse, Arena& scratch, const Tensor& dq,
                            const Tensor& dk, const Tensor& dv) {
  const Call call(blocks, q, k, v, out, lse, scratch);
  simd::forest_attention_backward(call.a,
                                  {dout.const_data_ptr<float>(), dq.mutable_data_ptr<float>(),
                                   dk.mutable_data_ptr<float>(), dv.mutable_data_ptr<float>(), dq.stride(0)},
                                  call.memory);
}

}  // namespace grpo::transformer
