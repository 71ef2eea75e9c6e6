// Ops on fp32 in host memory: each a single pass.
#include <ATen/Parallel.h>

#include "kernels/simd.hpp"
#include "ops.hpp"

namespace grpo::transformer {
namespace {

using at::Tensor;

const float* in(const Tensor& t) { return t.const_data_ptr<float>(); }
float* out(const Tensor& t) { return t.mutable_data_ptr<float>(); }

class CpuOps final : public Ops {
 public:
  void rms_norm(const Tensor& x, const Tensor& weight, double eps, const Tensor& y, const Tensor& rstd) const override {
    simd::rms_norm(in(x), x.stride(0), in(weight), eps, x.size(0), x.size(1), x.size(2), out(y), y.stride(0),
                   rstd.defined() ? out(rstd) : nullptr);
  }

  void rms_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& rstd, const Tensor& dx,
                         bool accumulate, const Tensor& dweight) const override {
    simd::rms_norm_backward(in(dy), dy.stride(0), in(x), x.stride(0), in(weight), in(rstd), x.size(0), x.size(1),
                            x.size(2), out(dx), dx.stride(0), accumulate, out(dweight));
  }

  void rope(const Tensor& x, const Tensor& cos, const Tensor& sin, bool back) const override {
    simd::rope(out(x), x.stride(0), x.size(0), x.size(1), x.size(2), in(cos), in(sin), back ? -1.0f : 1.0f);
  }

  void swiglu(const Tensor& gate_up, const Tensor& y) const override {
    simd::swiglu(in(gate_up), y.size(0), y.size(1), out(y));
  }

  void swiglu_backward(const Tensor& dout, const Tensor& gate_up) const override {
    simd::swiglu_backward(in(dout), out(gate_up), dout.size(0), dout.size(1));
  }

  void add_sums(const Tensor& logits, double temperature, RowSums* sums) const override {
    const float* z = in(logits);
    const std::int64_t size = logits.size(1);
    at::parallel_for(0, logits.size(0), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) {
        RowSums part;
        simd::sum_exponentials(z + r * size, size, temperature, &part.top, &part.sum, &part.weighted);
        sums[r].add(part, temperature);
      }
    });
  }

  void gather_targets(const Tensor& logits, const Forest& f, const LogitsPart& part, float* to) const override {
    const float* z = in(logits);
    for_targets(f, part, 0, part.rows,
                [&](std::int64_t row, std::size_t i, std::int64_t id) { to[i] = z[row * part.ids + id]; });
  }

  void score_backward(const Tensor& logits, const Forest& f, const LogitsPart& part, double temperature,
                      const RowStatistics* rows, const float* dlogprob, const float* dentropy) const override {
    float* z = out(logits);
    at::parallel_for(0, part.rows, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) {
        double a = 0, b = 0;
        for (auto i = f.row_start[static_cast<std::size_t>(part.row + r)];
             i < f.row_start[static_cast<std::size_t>(part.row + r + 1)]; ++i) {
          a += dlogprob[f.target[static_cast<std::size_t>(i)]];
          if (dentropy) b += dentropy[f.target[static_cast<std::size_t>(i)]];
        }
        simd::softmax_backward(z + r * part.ids, part.ids, temperature, rows[r].lse, rows[r].entropy, a, b);
      }
      for_targets(f, part, begin, end, [&](std::int64_t row, std::size_t i, std::int64_t id) {
        z[row * part.ids + id] += static_cast<float>(dlogprob[f.target[i]] / temperature);
      });
    });
  }

 private:
  // body(row of the part, index of the target, id in the part) for the targets of rows [begin, end) of the part
  template <typename Body>
  static void for_targets(const Forest& f, const LogitsPart& part, std::int64_t begin, std::int64_t end,
                          const Body& body) {
    for (std::int64_t r = begin; r < end; ++r)
      for (auto i = static_cast<std::size_t>(f.row_start[static_cast<std::size_t>(part.row + r)]);
           i < static_cast<std::size_t>(f.row_start[static_cast<std::size_t>(part.row + r + 1)]); ++i)
        if (const std::int64_t id = f.target_id[i] - part.id; id >= 0 && id < part.ids) body(r, i, id);
  }
};

}  // namespace

std::unique_ptr<Ops> make_cpu_ops() { return std::make_unique<CpuOps>(); }

}  // namespace grpo::transformer
