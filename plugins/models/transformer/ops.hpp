// ops.hpp: the operations between matrix products. Two versions: LibTorch's own, which run on any device and type, and
// single-pass loops for fp32 in host memory (simd.hpp). The first is the reference for the second.
#ifndef GRPO_TRANSFORMER_OPS_HPP
#define GRPO_TRANSFORMER_OPS_HPP

#include <ATen/ATen.h>

#include <memory>

#include "arena.hpp"
#include "forest.hpp"
#include "statistics.hpp"

namespace grpo::transformer {

// Logits are never whole in memory: of some of the forest's rows, and of some ids.
struct LogitsPart {
  std::int64_t row = 0, rows = 0, id = 0, ids = 0;
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

  // Logits, fp32, of the part's rows and ids. sums: [rows] of the part
  virtual void add_sums(const at::Tensor& logits, double temperature, RowSums* sums) const = 0;
  // The logits of those targets whose id is in the part, to their places in out, [targets] in the forest's order.
  virtual void gather_targets(const at::Tensor& logits, const Forest& forest, const LogitsPart& part,
                              float* out) const = 0;
  // logits become dL/dlogits; statistics: [rows] of the part; dlogprob and dentropy (may be null) in the caller's order
  // of targets.
  virtual void score_backward(const at::Tensor& logits, const Forest& forest, const LogitsPart& part,
                              double temperature, const RowStatistics* statistics, const float* dlogprob,
                              const float* dentropy) const = 0;
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

// The same by kernels/forest_attention.cpp, for fp32 in host memory and heads of a multiple of 16; its memory is from
// `scratch`.
void attention_cpu(const std::vector<Block>& blocks, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                   Arena& scratch, const at::Tensor& out, const at::Tensor& lse);
void attention_cpu_backward(const std::vector<Block>& blocks, const at::Tensor& dout, const at::Tensor& q,
                            const at::Tensor& k, const at::Tensor& v, const at::Tensor& out, const at::Tensor& lse,
                            Arena& scratch, const at::Tensor& dq, const at::Tensor& dk, const at::Tensor& dv);

// The same by flash.hpp: one call for all nodes, one for each shared prompt.
void attention_flash(const std::vector<Block>& blocks, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                     const at::Tensor& out, const at::Tensor& lse);
void attention_flash_backward(const std::vector<Block>& blocks, const at::Tensor& dout, const at::Tensor& q,
                              const at::Tensor& k, const at::Tensor& v, const at::Tensor& out, const at::Tensor& lse,
                              const at::Tensor& dq, const at::Tensor& dk, const at::Tensor& dv);

}  // namespace grpo::transformer

#endif
