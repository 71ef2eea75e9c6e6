// Attention block by block. Each block gives an output and the log-sum-exp of its scores; two blocks of the same
// queries merge exactly by weights exp(lse - merged lse). Backward goes block by block too, with the merged output and
// log-sum-exp: then exp(score - lse) is the probability over all blocks, and the gradients of the blocks just add up.
//
// Query heads that share a key head become rows of a batch entry [kv_heads, group, tokens, size], keys an expanded
// view.
#include <cmath>
#include <limits>
#include <tuple>

#include "ops.hpp"

namespace grpo::transformer {
namespace {

using at::Tensor;

// [n, heads, size] of a range of tokens as [kv_heads, group, n, size]
Tensor queries(const Tensor& x, std::int64_t begin, std::int64_t n, std::int64_t kv_heads) {
  const auto part = x.narrow(0, begin, n);
  return part.view({n, kv_heads, x.size(1) / kv_heads, x.size(2)}).permute({1, 2, 0, 3});
}

// [n, kv_heads, size] as [kv_heads, group, n, size] without copying
Tensor keys(const Tensor& x, std::int64_t begin, std::int64_t n, std::int64_t group) {
  return x.narrow(0, begin, n).permute({1, 0, 2}).unsqueeze(1).expand({x.size(1), group, n, x.size(2)});
}

// [n, heads] as [kv_heads, group, n]
Tensor rows(const Tensor& x, std::int64_t begin, std::int64_t n, std::int64_t kv_heads) {
  return x.narrow(0, begin, n).view({n, kv_heads, x.size(1) / kv_heads}).permute({1, 2, 0});
}

// 0 where seen, -infinity elsewhere: [q_size, k_size] fp32, undefined if a block needs none.
Tensor mask_of(const Block& b, bool causal_is_native, at::Device device) {
  if (b.window == 0 && (!b.causal || causal_is_native)) return {};
  const auto options = at::TensorOptions().device(device).dtype(at::kLong);
  const auto distance = (at::arange(b.q_size, options).unsqueeze(1) - at::arange(b.k_size, options)) + b.distance;
  auto hidden = distance < 0;
  if (b.window > 0) hidden = hidden.logical_or(distance >= b.window);
  return at::zeros({b.q_size, b.k_size}, options.dtype(at::kFloat))
      .masked_fill_(hidden, -std::numeric_limits<float>::infinity());
}

std::optional<Tensor> optional(const Tensor& t) { return t.defined() ? std::optional<Tensor>(t) : std::nullopt; }

// scores in fp32: [kv_heads, group, q, k]
Tensor plain_scores(const Block& b, const Tensor& q, const Tensor& k) {
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(3)));
  auto scores = at::matmul(q.to(at::kFloat), k.to(at::kFloat).transpose(2, 3)).mul_(scale);
  if (const auto mask = mask_of(b, false, q.device()); mask.defined()) scores.add_(mask);
  return scores;
}

std::tuple<Tensor, Tensor> plain(const Block& b, const Tensor& q, const Tensor& k, const Tensor& v) {
  const auto scores = plain_scores(b, q, k);
  const auto lse = at::logsumexp(scores, -1);
  return {at::matmul(at::exp(scores - lse.unsqueeze(-1)), v.to(at::kFloat)), lse};
}

std::tuple<Tensor, Tensor, Tensor> plain_backward(const Block& b, const Tensor& dout, const Tensor& q, const Tensor& k,
                                                  const Tensor& v, const Tensor& out, const Tensor& lse) {
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(3)));
  const auto p = at::exp(plain_scores(b, q, k).sub_(lse.unsqueeze(-1)));
  const auto d = dout.to(at::kFloat);
  const auto delta = (d * out.to(at::kFloat)).sum(-1, true);
  const auto ds = at::matmul(d, v.to(at::kFloat).transpose(2, 3)).sub_(delta).mul_(p).mul_(scale);
  return {at::matmul(ds, k.to(at::kFloat)), at::matmul(ds.transpose(2, 3), q.to(at::kFloat)),
          at::matmul(p.transpose(2, 3), d)};
}

}  // namespace

void attention(const std::vector<Block>& blocks, const Tensor& q, const Tensor& k, const Tensor& v, bool fused,
               const Tensor& out, const Tensor& lse) {
  const std::int64_t kv_heads = k.size(1), group = q.size(1) / kv_heads;
  for (const auto& b : blocks) {
    const auto qb = queries(q, b.q, b.q_size, kv_heads);
    const auto kb = keys(k, b.k, b.k_size, group), vb = keys(v, b.k, b.k_size, group);
    const auto mask = fused ? mask_of(b, true, q.device()) : Tensor();
    const auto [part, part_lse] = fused ? at::_scaled_dot_product_flash_attention_for_cpu(
                                              qb, kb, vb, 0.0, b.causal && b.window == 0, optional(mask))
                                        : plain(b, qb, kb, vb);
    const auto to = queries(out, b.q, b.q_size, kv_heads), to_lse = rows(lse, b.q, b.q_size, kv_heads);
    if (b.causal) {  // these come first, and cover every token once
      to.copy_(part);
      to_lse.copy_(part_lse);
      continue;
    }
    const auto merged = at::logaddexp(to_lse, part_lse);
    to.mul_(at::exp(to_lse - merged).unsqueeze(-1)).add_(part * at::exp(part_lse - merged).unsqueeze(-1));
    to_lse.copy_(merged);
  }
}

void attention_backward(const std::vector<Block>& blocks, const Tensor& dout, const Tensor& q, const Tensor& k,
                        const Tensor& v, const Tensor& out, const Tensor& lse, bool fused, const Tensor& dq,
                        const Tensor& dk, const Tensor& dv) {
  const std::int64_t kv_heads = k.size(1), group = q.size(1) / kv_heads;
  for (const auto& b : blocks) {
    const auto qb = queries(q, b.q, b.q_size, kv_heads), ob = queries(out, b.q, b.q_size, kv_heads);
    const auto db = queries(dout, b.q, b.q_size, kv_heads), lb = rows(lse, b.q, b.q_size, kv_heads);
    const auto kb = keys(k, b.k, b.k_size, group), vb = keys(v, b.k, b.k_size, group);
    const auto mask = fused ? mask_of(b, true, q.device()) : Tensor();
    const auto [gq, gk, gv] = fused ? at::_scaled_dot_product_flash_attention_for_cpu_backward(
                                          db, qb, kb, vb, ob, lb, 0.0, b.causal && b.window == 0, optional(mask))
                                    : plain_backward(b, db, qb, kb, vb, ob, lb);
    const auto to_q = queries(dq, b.q, b.q_size, kv_heads);
    const auto to_k = dk.narrow(0, b.k, b.k_size).permute({1, 0, 2}),
               to_v = dv.narrow(0, b.k, b.k_size).permute({1, 0, 2});
    if (b.causal) {
      to_q.copy_(gq);
      to_k.copy_(gk.sum(1));
      to_v.copy_(gv.sum(1));
    } else {
      to_q.add_(gq);
      to_k.add_(gk.sum(1));
      to_v.add_(gv.sum(1));
    }
  }
}

}  // namespace grpo::transformer
