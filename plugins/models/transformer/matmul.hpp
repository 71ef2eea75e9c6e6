// matmul.hpp: products of fp32 matrices in host memory, by the faster of two libraries.
//
// Main idea. LibTorch multiplies by Intel's MKL, which on other makers' processors does not use their widest vectors:
// on an AMD EPYC with AVX-512 it reaches 40 % of what oneDNN does (bench/roofline.cpp measures both). There oneDNN is
// used, if the system has it. Which one is a matter of the processor, not of a measurement, so that a run repeated on
// the same machine is the same to the bit.
#ifndef GRPO_TRANSFORMER_MATMUL_HPP
#define GRPO_TRANSFORMER_MATMUL_HPP

#include <ATen/ATen.h>

#include <string>

namespace grpo::transformer {

enum class MatmulLibrary { automatic, libtorch, onednn };

class Matmul {
 public:
  // Asked for oneDNN, and it is not there: a Refusal that says how to get it. automatic takes LibTorch then.
  explicit Matmul(MatmulLibrary wanted);

  // y = a b and y += a b: [m, k] [k, n] [m, n]. Of a and b either dimension may be the one without gaps; y has whole
  // rows.
  void set(const at::Tensor& y, const at::Tensor& a, const at::Tensor& b) const { multiply(y, a, b, 0); }
  void add(const at::Tensor& y, const at::Tensor& a, const at::Tensor& b) const { multiply(y, a, b, 1); }

  bool onednn() const { return sgemm_ != nullptr; }

 private:
  // dnnl_sgemm of oneDNN 1 to 3: row-major, C = alpha op(A) op(B) + beta C
  using Sgemm = int (*)(char, char, std::int64_t, std::int64_t, std::int64_t, float, const float*, std::int64_t,
                        const float*, std::int64_t, float, float*, std::int64_t);
  void multiply(const at::Tensor& y, const at::Tensor& a, const at::Tensor& b, float beta) const;

  Sgemm sgemm_ = nullptr;  // null: LibTorch
};

}  // namespace grpo::transformer

#endif
