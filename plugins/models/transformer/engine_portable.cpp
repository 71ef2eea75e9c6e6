// The decode engine by LibTorch's operations: any device, any type. The cache is [blocks * 16, kv_heads, size] a layer;
// a row's keys are gathered by index.
#include <cmath>
#include <limits>
#include <vector>

#include "engine.hpp"
#include "network.hpp"
#include "weights.hpp"

namespace grpo::transformer {
namespace {

using at::Tensor;

class PortableEngine final : public Engine {
 public:
  PortableEngine(EngineModel& model, std::int64_t blocks)
      : model_(model), c_(model.config), ops_(make_portable_ops()), type_(model.weights.compute_type()) {
    const auto options = at::TensorOptions().device(model.weights.device()).dtype(type_);
    for (std::int64_t i = 0; i < c_.layers; ++i) {
      keys_.push_back(at::zeros({blocks * block_tokens, c_.kv_heads, c_.head_dim}, options));
      values_.push_back(at::zeros({blocks * block_tokens, c_.kv_heads, c_.head_dim}, options));
    }
  }

  std::int64_t max_rows() const override { return 256; }
  std::int64_t max_logits() const override { return 64; }

  void run(const EngineRow* row, std::int64_t n, std::int64_t) override {
    const auto device = model_.weights.device();
    const Layout& layout = model_.weights.layout();
    const std::int64_t heads = c_.heads, kv_heads = c_.kv_heads, size = c_.head_dim;
    read_rows(row, n);
    const auto [cos, sin] = rope_tables(c_, positions_.data(), n, device);
    const auto token = token_.to(device), place = place_.to(device), seen = seen_.to(device);
    const auto distance = (position_.unsqueeze(1) - at::arange(seen_.size(1), at::kLong)).to(device);

    auto x = model_.weights.matrix(layout.embedding).index_select(0, token).to(at::kFloat);
    for (std::size_t i = 0; i < layout.layers.size(); ++i) {
      const auto& l = layout.layers[i];
      const auto qkv = linear(norm(x, l.input_norm), l.qkv, l.qkv_bias).view({n, heads + 2 * kv_heads, size});
      const auto q = qkv.narrow(1, 0, heads), k = qkv.narrow(1, heads, kv_heads);
      if (c_.qk_norm) {
        ops_->rms_norm(q, model_.weights.norm(l.q_norm), c_.norm_eps, q, {});
        ops_->rms_norm(k, model_.weights.norm(l.k_norm), c_.norm_eps, k, {});
      }
      ops_->rope(qkv.narrow(1, 0, heads + kv_heads), cos, sin, false);
      keys_[i].index_copy_(0, place, k);
      values_[i].index_copy_(0, place, qkv.narrow(1, heads + kv_heads, kv_heads));
      auto hidden = distance < 0;
      if (c_.window[i] > 0) hidden = hidden.logical_or(distance >= c_.window[i]);
      const auto out = look_back(q, seen, hidden, keys_[i], values_[i]);
      x = x + linear(out.view({n, c_.q_size()}), l.o, l.o_bias);
      const auto gate_up = linear(norm(x, l.post_norm), l.gate_up, l.gate_up_bias);
      const auto active = at::empty({n, c_.ffn}, gate_up.options());
      ops_->swiglu(gate_up, active);
      x = x + linear(active, l.down, l.down_bias);
    }
    last_ = x;
  }

  const float* logits(std::int64_t first, std::int64_t n) override {
    const auto& layout = model_.weights.layout();
    logits_ =
        linear(norm(last_.narrow(0, first, n), layout.final_norm), layout.head, {}).to(at::kFloat).cpu().contiguous();
    return logits_.const_data_ptr<float>();
  }

  void copy_block(std::int32_t from, std::int32_t to) override {
    for (auto* caches : {&keys_, &values_})
      for (const auto& cache : *caches)
        cache.narrow(0, to * block_tokens, block_tokens).copy_(cache.narrow(0, from * block_tokens, block_tokens));
  }

 private:
  // Host arrays of a pass: token ids, places in the cache, and for each row the places of its sequence.
  void read_rows(const EngineRow* row, std::int64_t n) {
    std::int64_t longest = 0;
    for (std::int64_t r = 0; r < n; ++r) longest = std::max<std::int64_t>(longest, row[r].position + 1);
    token_ = at::empty({n}, at::kLong);
    place_ = at::empty({n}, at::kLong);
    position_ = at::empty({n}, at::kLong);
    seen_ = at::zeros({n, longest}, at::kLong);
    positions_.resize(static_cast<std::size_t>(n));
    auto* seen = seen_.mutable_data_ptr<std::int64_t>();
    for (std::int64_t r = 0; r < n; ++r) {
      const auto place = [&](std::int64_t t) {
        return row[r].block[t / block_tokens] * block_tokens + t % block_tokens;
      };
      positions_[static_cast<std::size_t>(r)] = row[r].position;
      position_.mutable_data_ptr<std::int64_t>()[r] = row[r].position;
      token_.mutable_data_ptr<std::int64_t>()[r] = row[r].token;
      place_.mutable_data_ptr<std::int64_t>()[r] = place(row[r].position);
      for (std::int64_t t = 0; t <= row[r].position; ++t) seen[r * longest + t] = place(t);
    }
  }

  Tensor norm(const Tensor& x, const Range& weight) const {
    const auto y = at::empty(x.sizes(), x.options().dtype(type_));
    ops_->rms_norm(x.unsqueeze(1), model_.weights.norm(weight), c_.norm_eps, y.unsqueeze(1), {});
    return y;
  }

  Tensor linear(const Tensor& x, const Range& weight, const Range& bias) const {
    return at::linear(x, model_.weights.matrix(weight),
                      bias.exists() ? std::optional<Tensor>(model_.weights.bias(bias)) : std::nullopt);
  }

  // q: [n, heads, size]; seen, hidden: [n, longest]. A few rows at a time, to bound what is gathered.
  Tensor look_back(const Tensor& q, const Tensor& seen, const Tensor& hidden, const Tensor& keys,
                   const Tensor& values) const {
    const std::int64_t n = q.size(0), longest = seen.size(1), size = c_.head_dim, kv_heads = c_.kv_heads;
    const std::int64_t piece = std::max<std::int64_t>(1, 16384 / longest);
    std::vector<Tensor> out;
    for (std::int64_t r = 0; r < n; r += piece) {
      const std::int64_t m = std::min(piece, n - r);
      const auto index = seen.narrow(0, r, m).reshape({-1});
      const auto gather = [&](const Tensor& cache) {  // [m, kv_heads, longest, size]
        return cache.index_select(0, index).view({m, longest, kv_heads, size}).permute({0, 2, 1, 3}).to(at::kFloat);
      };
      const auto query = q.narrow(0, r, m).reshape({m, kv_heads, c_.group(), size}).to(at::kFloat);
      const auto scores = at::matmul(query, gather(keys).transpose(2, 3)).div_(std::sqrt(static_cast<double>(size)));
      scores.masked_fill_(hidden.narrow(0, r, m).view({m, 1, 1, longest}), -std::numeric_limits<float>::infinity());
      out.push_back(at::matmul(at::softmax(scores, -1), gather(values)).to(type_).view({m, c_.heads, size}));
    }
    return at::cat(out);
  }

  EngineModel& model_;
  const Config& c_;
  std::unique_ptr<Ops> ops_;
  at::ScalarType type_;
  std::vector<Tensor> keys_, values_;
  Tensor token_, place_, position_, seen_, last_, logits_;
  std::vector<std::int32_t> positions_;
};

}  // namespace

std::unique_ptr<Engine> make_portable_engine(EngineModel& model, std::int64_t blocks) {
  return std::make_unique<PortableEngine>(model, blocks);
}

}  // namespace grpo::transformer
