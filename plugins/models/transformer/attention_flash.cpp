// Attention of a forest by flash attention: all nodes with themselves in one call, then the shared prompts, merged as
// in attention.cpp. What flash attention has no mask for (a window over a shared prompt) stays with plain operations.
#include "flash.hpp"
#include "ops.hpp"

namespace grpo::transformer {
namespace {

using at::Tensor;

struct Split {
  flash::Sequences nodes;    // all causal blocks
  std::vector<Block> whole;  // queries that see all keys
  std::vector<Block> plain;
};

Split split(const std::vector<Block>& blocks, at::Device device) {
  Split s;
  std::vector<std::int64_t> sizes;
  for (const auto& b : blocks) {
    if (b.causal) {  // these are in the order of tokens and leave none out
      sizes.push_back(b.q_size);
      s.nodes.q_longest = s.nodes.k_longest = std::max(s.nodes.q_longest, b.q_size);
      s.nodes.window = std::max(s.nodes.window, b.window);  // a node without one is shorter than the window
    } else {
      (b.window > 0 ? s.plain : s.whole).push_back(b);
    }
  }
  s.nodes.q_start = s.nodes.k_start = flash::starts(sizes, device);
  return s;
}

flash::Sequences one(const Block& b, at::Device device) {
  return {flash::starts({b.q_size}, device), flash::starts({b.k_size}, device), b.q_size, b.k_size, {}, false, 0};
}

}  // namespace

void attention_flash(const std::vector<Block>& blocks, const Tensor& q, const Tensor& k, const Tensor& v,
                     const Tensor& out, const Tensor& lse) {
  const auto s = split(blocks, q.device());
  const auto own = flash::forward(s.nodes, q, k, v);
  out.copy_(own.out);
  lse.copy_(own.lse);
  for (const auto& b : s.whole) {
    const auto part = flash::forward(one(b, q.device()), q.narrow(0, b.q, b.q_size), k.narrow(0, b.k, b.k_size),
                                     v.narrow(0, b.k, b.k_size));
    const auto to = out.narrow(0, b.q, b.q_size), to_lse = lse.narrow(0, b.q, b.q_size);
    const auto merged = at::logaddexp(to_lse, part.lse);
    to.copy_(to.to(at::kFloat) * at::exp(to_lse - merged).unsqueeze(-1) +
             part.out.to(at::kFloat) * at::exp(part.lse - merged).unsqueeze(-1));
    to_lse.copy_(merged);
  }
  attention(s.plain, q, k, v, false, out, lse);
}

void attention_flash_backward(const std::vector<Block>& blocks, const Tensor& dout, const Tensor& q, const Tensor& k,
                              const Tensor& v, const Tensor& out, const Tensor& lse, const Tensor& dq, const Tensor& dk,
                              const Tensor& dv) {
  const auto s = split(blocks, q.device());
  const auto own = flash::backward(s.nodes, dout, q, k, v, out, lse);
  dq.copy_(own.q);
  dk.copy_(own.k);
  dv.copy_(own.v);
  for (const auto& b : s.whole) {
    const auto of_q = [&](const Tensor& x) { return x.narrow(0, b.q, b.q_size); };
    const auto of_k = [&](const Tensor& x) { return x.narrow(0, b.k, b.k_size); };
    const auto part = flash::backward(one(b, q.device()), of_q(dout), of_q(q), of_k(k), of_k(v), of_q(out), of_q(lse));
    of_q(dq).add_(part.q);
    of_k(dk).add_(part.k);
    of_k(dv).add_(part.v);
  }
  attention_backward(s.plain, dout, q, k, v, out, lse, false, dq, dk, dv);
}

}  // namespace grpo::transformer
