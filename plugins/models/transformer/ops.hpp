// ops.hpp: the operations between matrix products. Two versions: LibTorch's own, which run on any device and type, and
// single-pass loops for fp32 in host memory (simd.hpp). The first is the reference for the second.
#ifndef GRPO_TRANSFORMER_OPS_HPP
#define GRPO_TRANSFORMER_OPS_HPP

#include <ATen/ATen.h>

#include <memory>

#include "forest.hpp"

namespace grpo::transformer {

// One result for each row of logits.
struct RowStatistics {
  double lse = 0, entropy = 0;  // of softmax(z / temperature)
};

class Ops {
 public:
  virtual ~Ops() = default;

  // x: [rows, groups, size], each vector dense; y alike; rstd: [rows, groups] fp32, may be undefined.
  virtual void rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, const at::Tensor& y,
                        const at::Tensor& rstd) const = 0;
  // dx is added to if accumulate, else written; it may then be dy. dweight [size] is added to.
  virtual void rms_norm_backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                                 const at::Tensor& rstd, const at::Tensor& dx, bool accumulate,
                                 const at::Tensor& dweight) const = 0;
  // x: [rows, heads, size], turned in place; cos, sin: [rows, size / 2] fp32.
  virtual void rope(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, bool back) const = 0;
  // gate_up: [rows, 2 size]; out: [rows, size]
  virtual void swiglu(const at::Tensor& gate_up, const at::Tensor& out) const = 0;
  // gate_up becomes its derivative.
  virtual void swiglu_backward(const at::Tensor& dout, const at::Tensor& gate_up) const = 0;

  // logits: [rows, vocabulary] fp32, statistics: [rows]
  virtual void statistics(const at::Tensor& logits, double temperature, RowStatistics* rows) const = 0;
  // The logits of the targets of rows [first, first + logits.size(0)) of the forest, in their order, to out.
  virtual void gather_targets(const at::Tensor& logits, const Forest& forest, std::int64_t first, float* out) const = 0;
  // logits become dL/dlogits; dlogprob and dentropy (may be null) in the caller's order of targets.
  virtual void score_backward(const at::Tensor& logits, const Forest& forest, std::int64_t first, double temperature,
                              const RowStatistics* rows, const float* dlogprob, const float* dentropy) const = 0;
};

std::unique_ptr<Ops> make_portable_ops();
std::unique_ptr<Ops> make_cpu_ops();

// Attention of a forest. q: [tokens, heads, size], k and v: [tokens, kv_heads, size], any stride between tokens.
// out: [tokens, heads, size] and lse: [tokens, heads] fp32 are written. fused: by LibTorch's CPU flash attention.
void attention(const std::vector<Block>& blocks, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
               bool fused, const at::Tensor& out, const at::Tensor& lse);
// dq, dk, dv are written.
void attention_backward(const std::vector<Block>& blocks, const at::Tensor& dout, const at::Tensor& q,
                        const at::Tensor& k, const at::Tensor& v, const at::Tensor& out, const at::Tensor& lse,
                        bool fused, const at::Tensor& dq, const at::Tensor& dk, const at::Tensor& dv);

}  // namespace grpo::transformer

#endif
