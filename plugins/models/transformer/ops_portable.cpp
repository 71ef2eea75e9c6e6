// Ops by LibTorch's operations: any device, any floating type; arithmetic in fp32.
#include "ops.hpp"

namespace grpo::transformer {
namespace {

using at::Tensor;

constexpr std::int64_t sum_block = 512;  // what one fp32 sum may cover; double takes over from there

// Sums over the last dimension, in blocks, to double.
Tensor block_sum(const Tensor& x) {
  const std::int64_t rest = (sum_block - x.size(1) % sum_block) % sum_block;
  return at::constant_pad_nd(x, {0, rest}, 0).view({x.size(0), -1, sum_block}).sum(-1).to(at::kDouble).sum(-1);
}

class PortableOps final : public Ops {
 public:
  void rms_norm(const Tensor& x, const Tensor& weight, double eps, const Tensor& y, const Tensor& rstd) const override {
    const auto wide = x.to(at::kFloat);
    const auto factor = wide.square().mean(-1, true).add_(eps).rsqrt_();
    if (rstd.defined()) rstd.copy_(factor.squeeze(-1));
    y.copy_(wide * factor * weight);
  }

  void rms_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight, const Tensor& rstd, const Tensor& dx,
                         bool accumulate, const Tensor& dweight) const override {
    const auto d = dy.to(at::kFloat), factor = rstd.unsqueeze(-1), normed = x.to(at::kFloat) * factor;
    const auto scaled = d * weight;
    dweight.add_((d * normed).sum(at::IntArrayRef{0, 1}));
    const auto result = (scaled - normed * (scaled * normed).mean(-1, true)) * factor;
    if (accumulate) {
      dx.add_(result);
    } else {
      dx.copy_(result);
    }
  }

  void rope(const Tensor& x, const Tensor& cos, const Tensor& sin, bool back) const override {
    const std::int64_t half = x.size(2) / 2;
    const auto a = x.narrow(2, 0, half).to(at::kFloat, false, true),
               b = x.narrow(2, half, half).to(at::kFloat, false, true);
    const auto c = cos.unsqueeze(1), s = back ? -sin.unsqueeze(1) : sin.unsqueeze(1);
    x.narrow(2, 0, half).copy_(a * c - b * s);
    x.narrow(2, half, half).copy_(b * c + a * s);
  }

  void swiglu(const Tensor& gate_up, const Tensor& y) const override {
    const std::int64_t size = y.size(1);
    y.copy_(at::silu(gate_up.narrow(1, 0, size).to(at::kFloat)) * gate_up.narrow(1, size, size));
  }

  void swiglu_backward(const Tensor& dout, const Tensor& gate_up) const override {
    const std::int64_t size = dout.size(1);
    const auto g = gate_up.narrow(1, 0, size).to(at::kFloat), u = gate_up.narrow(1, size, size).to(at::kFloat);
    const auto d = dout.to(at::kFloat), s = at::sigmoid(g);
    const auto dg = d * u * s * (1 + g * (1 - s)), du = d * g * s;
    gate_up.narrow(1, 0, size).copy_(dg);
    gate_up.narrow(1, size, size).copy_(du);
  }

  void statistics(const Tensor& logits, double temperature, RowStatistics* rows) const override {
    const auto top = logits.amax(-1, true);
    const auto z = (logits - top).div_(temperature);
    const auto e = at::exp(z);
    const auto sum = block_sum(e), weighted = block_sum(e * z), log_sum = at::log(sum);
    const auto lse = (top.squeeze(-1).to(at::kDouble) / temperature + log_sum).cpu();
    const auto entropy = (log_sum - weighted / sum).cpu();
    for (std::int64_t r = 0; r < logits.size(0); ++r)
      rows[r] = {lse.const_data_ptr<double>()[r], entropy.const_data_ptr<double>()[r]};
  }

  void gather_targets(const Tensor& logits, const Forest& f, std::int64_t first, float* to) const override {
    const auto [row, id, from] = targets(f, first, logits.size(0), logits.device());
    const auto values = logits.index({row, id}).cpu();
    std::copy_n(values.const_data_ptr<float>(), values.numel(), to);
  }

  void score_backward(const Tensor& logits, const Forest& f, std::int64_t first, double temperature,
                      const RowStatistics* rows, const float* dlogprob, const float* dentropy) const override {
    const auto [row, id, from] = targets(f, first, logits.size(0), logits.device());
    const std::int64_t n = row.size(0);
    auto weight = at::zeros({n}, at::kFloat), entropy_weight = at::zeros({n}, at::kFloat);
    for (std::int64_t i = 0; i < n; ++i) {
      const auto target = f.target[static_cast<std::size_t>(from + i)];
      weight.mutable_data_ptr<float>()[i] = dlogprob[target];
      if (dentropy) entropy_weight.mutable_data_ptr<float>()[i] = dentropy[target];
    }
    weight = weight.to(logits.device());
    entropy_weight = entropy_weight.to(logits.device());
    auto statistics = at::zeros({2, logits.size(0)}, at::kFloat);
    for (std::int64_t r = 0; r < logits.size(0); ++r) {
      statistics.mutable_data_ptr<float>()[r] = static_cast<float>(rows[r].lse);
      statistics.mutable_data_ptr<float>()[logits.size(0) + r] = static_cast<float>(rows[r].entropy);
    }
    statistics = statistics.to(logits.device());
    const auto options = logits.options();
    const auto a = at::zeros({logits.size(0)}, options).index_add_(0, row, weight).unsqueeze(1);
    const auto b = at::zeros({logits.size(0)}, options).index_add_(0, row, entropy_weight).unsqueeze(1);
    const auto logp = logits / temperature - statistics[0].unsqueeze(1);
    logits.copy_(at::exp(logp) * (a + b * (logp + statistics[1].unsqueeze(1))) * (-1 / temperature));
    logits.index_put_({row, id}, weight / temperature, true);
  }

 private:
  struct Targets {
    Tensor row, id;     // [n] each
    std::int64_t from;  // index of the first in the forest's order
  };
  static Targets targets(const Forest& f, std::int64_t first, std::int64_t rows, at::Device device) {
    const auto from = f.row_start[static_cast<std::size_t>(first)],
               to = f.row_start[static_cast<std::size_t>(first + rows)];
    auto row = at::empty({to - from}, at::kLong), id = at::empty({to - from}, at::kLong);
    for (std::int64_t r = 0; r < rows; ++r)
      for (auto i = f.row_start[static_cast<std::size_t>(first + r)];
           i < f.row_start[static_cast<std::size_t>(first + r + 1)]; ++i) {
        row.mutable_data_ptr<std::int64_t>()[i - from] = r;
        id.mutable_data_ptr<std::int64_t>()[i - from] = f.target_id[static_cast<std::size_t>(i)];
      }
    return {row.to(device), id.to(device), from};
  }
};

}  // namespace

std::unique_ptr<Ops> make_portable_ops() { return std::make_unique<PortableOps>(); }

}  // namespace grpo::transformer
