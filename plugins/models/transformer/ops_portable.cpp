// Ops by LibTorch's operations: any device, any floating type; arithmetic in fp32. Few operations count here: decoding
// on a GPU costs what it costs to start them.
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

// LibTorch's own norm of fp32 vectors, with their factors: one operation in place of five. On a GPU it is a kernel of
// its own, which is tried once; on the CPU it is made of the five.
bool has_fused_norm(at::Device device) {
  if (!device.is_cuda()) return true;
  static const bool good = [&] {
    try {
      const auto options = at::TensorOptions().device(device).dtype(at::kFloat);
      const auto x = at::randn({7, 1, 96}, options), weight = at::rand({96}, options);
      const auto [y, factor] = at::_fused_rms_norm(x, {96}, weight, 1e-5);
      const auto right = x.square().mean(-1, true).add_(1e-5).rsqrt_();
      return at::allclose(factor, right, 1e-4) && at::allclose(y, x * right * weight, 1e-4, 1e-6);
    } catch (const c10::Error&) {
      return false;
    }
  }();
  return good;
}

class PortableOps final : public Ops {
 public:
  void rms_norm(const Tensor& x, const Tensor& weight, double eps, const Tensor& y, const Tensor& rstd) const override {
    const auto wide = x.to(at::kFloat);
    if (has_fused_norm(x.device())) {
      const auto [normed, factor] = at::_fused_rms_norm(wide, {x.size(2)}, weight, eps);
      if (rstd.defined()) rstd.copy_(factor.squeeze(-1));
      y.copy_(normed);
      return;
    }
    const auto factor = wide.square().mean(-1, true).add_(eps).rsqrt_();
    if (rstd.defined()) rstd.copy_(factor.squeeze(-1));
    auto to = y;
    at::mul_out(to, wide * factor, weight);
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
    const auto wide = x.to(at::kFloat);
    const auto turned = wide.view({x.size(0), x.size(1), 2, half}) * cos.view({cos.size(0), 1, 1, half});
    const auto s = sin.unsqueeze(1);
    turned.select(2, 0).addcmul_(wide.narrow(2, half, half), s, back ? 1 : -1);
    turned.select(2, 1).addcmul_(wide.narrow(2, 0, half), s, back ? -1 : 1);
    x.copy_(turned.reshape(x.sizes()));
  }

  void swiglu(const Tensor& gate_up, const Tensor& y) const override {
    const std::int64_t size = y.size(1);
    auto to = y;
    at::mul_out(to, at::silu(gate_up.narrow(1, 0, size).to(at::kFloat)), gate_up.narrow(1, size, size));
  }

  void swiglu_backward(const Tensor& dout, const Tensor& gate_up) const override {
    const std::int64_t size = dout.size(1);
    const auto g = gate_up.narrow(1, 0, size).to(at::kFloat), u = gate_up.narrow(1, size, size).to(at::kFloat);
    const auto d = dout.to(at::kFloat), s = at::sigmoid(g);
    const auto dg = d * u * s * (1 + g * (1 - s)), du = d * g * s;
    gate_up.narrow(1, 0, size).copy_(dg);
    gate_up.narrow(1, size, size).copy_(du);
  }

  void add_sums(const Tensor& logits, double temperature, RowSums* sums) const override {
    const auto top = logits.amax(-1, true);
    const auto z = (logits - top).div_(temperature);
    const auto e = at::exp(z);
    const auto sum = block_sum(e).cpu(), weighted = block_sum(e * z).cpu(), tops = top.cpu();
    for (std::int64_t r = 0; r < logits.size(0); ++r)
      sums[r].add(
          {tops.const_data_ptr<float>()[r], sum.const_data_ptr<double>()[r], weighted.const_data_ptr<double>()[r]},
          temperature);
  }

  void gather_targets(const Tensor& logits, const Forest& f, const LogitsPart& part, float* to) const override {
    const auto t = targets(f, part, logits.device());
    const auto values = logits.index({t.row, t.id}).cpu();
    for (std::int64_t i = 0; i < values.numel(); ++i)
      if (t.inside[static_cast<std::size_t>(i)]) to[t.from + i] = values.const_data_ptr<float>()[i];
  }

  void score_backward(const Tensor& logits, const Forest& f, const LogitsPart& part, double temperature,
                      const RowStatistics* rows, const float* dlogprob, const float* dentropy) const override {
    const auto t = targets(f, part, logits.device());
    const std::int64_t n = t.row.size(0);
    auto weight = at::zeros({3, n}, at::kFloat);  // of log-probability, of that where the id is here, of entropy
    float* w = weight.mutable_data_ptr<float>();
    for (std::int64_t i = 0; i < n; ++i) {
      const auto target = f.target[static_cast<std::size_t>(t.from + i)];
      w[i] = dlogprob[target];
      if (t.inside[static_cast<std::size_t>(i)]) w[n + i] = dlogprob[target];
      if (dentropy) w[2 * n + i] = dentropy[target];
    }
    weight = weight.to(logits.device());
    auto statistics = at::zeros({2, part.rows}, at::kFloat);
    for (std::int64_t r = 0; r < part.rows; ++r) {
      statistics.mutable_data_ptr<float>()[r] = static_cast<float>(rows[r].lse);
      statistics.mutable_data_ptr<float>()[part.rows + r] = static_cast<float>(rows[r].entropy);
    }
    statistics = statistics.to(logits.device());
    const auto zeros = at::zeros({part.rows}, logits.options());
    const auto a = zeros.index_add(0, t.row, weight[0]).unsqueeze(1);
    const auto b = zeros.index_add(0, t.row, weight[2]).unsqueeze(1);
    const auto logp = logits / temperature - statistics[0].unsqueeze(1);
    logits.copy_(at::exp(logp) * (a + b * (logp + statistics[1].unsqueeze(1))) * (-1 / temperature));
    logits.index_put_({t.row, t.id}, weight[1] / temperature, true);
  }

 private:
  // The targets of the part's rows; those whose id is elsewhere have id 0 here.
  struct Targets {
    Tensor row, id;  // [n] each, in the part
    std::vector<char> inside;
    std::int64_t from;  // index of the first in the forest's order
  };
  static Targets targets(const Forest& f, const LogitsPart& part, at::Device device) {
    const auto from = f.row_start[static_cast<std::size_t>(part.row)],
               to = f.row_start[static_cast<std::size_t>(part.row + part.rows)];
    auto row = at::empty({to - from}, at::kLong), id = at::empty({to - from}, at::kLong);
    std::vector<char> inside(static_cast<std::size_t>(to - from));
    for (std::int64_t r = 0; r < part.rows; ++r)
      for (auto i = f.row_start[static_cast<std::size_t>(part.row + r)];
           i < f.row_start[static_cast<std::size_t>(part.row + r + 1)]; ++i) {
        const std::int64_t here = f.target_id[static_cast<std::size_t>(i)] - part.id;
        inside[static_cast<std::size_t>(i - from)] = here >= 0 && here < part.ids;
        row.mutable_data_ptr<std::int64_t>()[i - from] = r;
        id.mutable_data_ptr<std::int64_t>()[i - from] = here >= 0 && here < part.ids ? here : 0;
      }
    return {row.to(device), id.to(device), std::move(inside), from};
  }
};

}  // namespace

std::unique_ptr<Ops> make_portable_ops() { return std::make_unique<PortableOps>(); }

}  // namespace grpo::transformer
