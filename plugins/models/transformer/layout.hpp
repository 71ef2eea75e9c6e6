// layout.hpp: which parameters a model has, and where each lies in the flat buffers.
//
// Main idea. All values lie in one buffer, all gradients in another of the same form; a named parameter is a range of
// both. What one matrix product uses together lies together: q, k, v are one matrix [q + 2 kv, hidden], gate and up one
// of [2 ffn, hidden], and so are their biases.
#ifndef GRPO_TRANSFORMER_LAYOUT_HPP
#define GRPO_TRANSFORMER_LAYOUT_HPP

#include <string>
#include <vector>

#include "config.hpp"

namespace grpo::transformer {

struct Range {
  std::int64_t offset = -1;  // in elements; -1: the model has none
  std::int64_t rows = 0, columns = 0;

  bool exists() const { return offset >= 0; }
  std::int64_t size() const { return rows * columns; }
};

struct Parameter {
  std::string name;                 // Hugging Face's
  std::vector<std::int64_t> shape;  // one or two sizes
  std::int64_t offset = 0;
  enum class Kind { matrix, norm, bias } kind = Kind::matrix;

  std::int64_t size() const { return shape.size() == 2 ? shape[0] * shape[1] : shape[0]; }
};

struct LayerLayout {
  Range input_norm, qkv, qkv_bias, q_norm, k_norm, o, o_bias;
  Range post_norm, gate_up, gate_up_bias, down, down_bias;
};

struct Layout {
  std::vector<Parameter> parameters;
  std::vector<LayerLayout> layers;
  Range embedding, final_norm, head;  // head is embedding in a tied model
  std::int64_t elements = 0;          // of each flat buffer, gaps for alignment included
  std::int64_t parameter_elements = 0;
  double flops_per_token = 0;  // forward, attention left out
};

Layout make_layout(const Config& config);

}  // namespace grpo::transformer

#endif
