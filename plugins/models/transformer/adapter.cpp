#include "adapter.hpp"

#include <ATen/Parallel.h>
#include <grpo/random.h>

namespace grpo::transformer {

using at::Tensor;

void add_adapted(const Weights& weights, const AdapterLayout& adapter, const Tensor& x, const Tensor& y) {
  const Layout& layout = weights.layout();
  const auto inner = at::mm(x, weights.matrix(adapter.a).t());
  for (std::size_t i = 0; i < adapter.parts.size(); ++i) {
    const auto& part = adapter.parts[i];
    y.narrow(1, part.row, part.b.rows)
        .addmm_(inner.narrow(1, static_cast<std::int64_t>(i) * layout.rank, layout.rank), weights.matrix(part.b).t(), 1,
                layout.scale);
  }
}

Tensor adapted_backward(Weights& weights, const AdapterLayout& adapter, const Tensor& dy, const Tensor& x) {
  const Layout& layout = weights.layout();
  const auto a = weights.matrix(adapter.a);
  const auto inner = at::mm(x, a.t());
  const auto dinner = at::empty_like(inner);
  for (std::size_t i = 0; i < adapter.parts.size(); ++i) {
    const auto& part = adapter.parts[i];
    const auto from = static_cast<std::int64_t>(i) * layout.rank;
    const auto dpart = dy.narrow(1, part.row, part.b.rows);
    weights.gradient_matrix(part.b).add_(at::mm(dpart.t(), inner.narrow(1, from, layout.rank)), layout.scale);
    dinner.narrow(1, from, layout.rank).copy_(at::mm(dpart, weights.matrix(part.b)) * layout.scale);
  }
  weights.gradient_matrix(adapter.a).add_(at::mm(dinner.t(), x));
  return at::mm(dinner, a);
}

Tensor dropout_mask(std::uint64_t key, double p, const Tensor& like) {
  const auto mask = at::empty(like.sizes(), at::kFloat);
  auto* to = mask.mutable_data_ptr<float>();
  const auto keep = static_cast<float>(1 / (1 - p));
  const auto limit = static_cast<std::uint32_t>(p * 4294967296.0);
  constexpr std::int64_t grain = 1 << 14;
  at::parallel_for(0, (mask.numel() + 3) / 4, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::uint32_t drawn[4];
      grpo_random_block(key, static_cast<std::uint64_t>(i), 2, drawn);
      for (std::int64_t k = 4 * i; k < std::min(4 * i + 4, mask.numel()); ++k)
        to[k] = drawn[k - 4 * i] < limit ? 0.0f : keep;
    }
  });
  return mask.to(like.options());
}

}  // namespace grpo::transformer
