// layer_rows.hpp: what one layer computes for rows of tokens, and how decoding lays it out in memory.
//
//     x ─ norm ─ q, k, v ─ RoPE ─ attention ─ o ─(+x)─ middle ─ norm ─ gate, up ─ silu(gate) up ─ down ─(+middle)─ next
//     x
#ifndef GRPO_TRANSFORMER_LAYER_ROWS_HPP
#define GRPO_TRANSFORMER_LAYER_ROWS_HPP

#include <cstdint>

#include "config.hpp"

namespace grpo::transformer {

struct LayerRows {
  float* x;           // [hidden] the layer's input
  std::int64_t step;  // of x: floats from row to row

  // The layer's inside, null where it is not kept; from row to row inside_step floats.
  float* qkv;        // [q + 2 kv] after RoPE; before norm and RoPE in a model that norms q and k
  float* attention;  // [q]
  float* lse;        // [heads] of the scores
  float* middle;     // [hidden]
  float* gate_up;    // [2 ffn]
  std::int64_t inside_step;
};

// A row's inside in one piece.
class LayerShape {
 public:
  explicit LayerShape(const Config& c)
      : qkv_(c.qkv_size()), q_(c.q_size()), heads_(c.heads), hidden_(c.hidden), ffn_(c.ffn) {}

  std::int64_t inside_step() const { return apart(qkv_ + q_ + hidden_ + 2 * ffn_ + heads_); }

  // inside: of the first row, or null.
  LayerRows rows(float* x, std::int64_t step, float* inside) const {
    if (!inside) return {x, step, nullptr, nullptr, nullptr, nullptr, nullptr, 0};
    float *attention = inside + qkv_, *middle = attention + q_, *gate_up = middle + hidden_, *lse = gate_up + 2 * ffn_;
    return {x, step, inside, attention, lse, middle, gate_up, inside_step()};
  }

  // Rows of n floats begin so far apart: on cache lines, and not on those of the same place of a page, which compete
  // for the same few places of a cache.
  static std::int64_t apart(std::int64_t n) {
    constexpr std::int64_t line = 16, quarter_page = 256;
    const std::int64_t step = (n + line - 1) / line * line;
    return step % quarter_page == 0 ? step + line : step;
  }

 private:
  std::int64_t qkv_, q_, heads_, hidden_, ffn_;
};

}  // namespace grpo::transformer

#endif
