// layout.hpp: which parameters a model has, and where each lies in the flat buffers.
//
// Main idea. All values lie in one buffer, all gradients in another of the same form; a named parameter is a range of
// both. What one matrix product uses together lies together: q, k, v are one matrix [q + 2 kv, hidden], gate and up one
// of [2 ffn, hidden], and so are their biases. Adapters come after everything else, so that what is trained is one
// range too.
#ifndef GRPO_TRANSFORMER_LAYOUT_HPP
#define GRPO_TRANSFORMER_LAYOUT_HPP

#include <grpo/kit/adapter.hpp>
#include <map>
#include <optional>
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
  enum class Kind { matrix, norm, bias, adapter_a, adapter_b } kind = Kind::matrix;

  std::int64_t size() const { return shape.size() == 2 ? shape[0] * shape[1] : shape[0]; }
};

struct LayerLayout {
  Range input_norm, qkv, qkv_bias, q_norm, k_norm, o, o_bias;
  Range post_norm, gate_up, gate_up_bias, down, down_bias;
};

// The adapters of one matrix: A of all adapted parts, one under the other, and for each part its rows and its B.
struct AdapterLayout {
  struct Part {
    std::int64_t row = 0;  // of the matrix, the part's first
    Range b;               // [rows of the part, rank]
  };
  Range a;  // [parts x rank, columns of the matrix]
  std::vector<Part> parts;
};

struct Layout {
  std::vector<Parameter> parameters;
  std::vector<LayerLayout> layers;
  Range embedding, final_norm, head;  // head is embedding in a tied model
  std::int64_t elements = 0;          // of each flat buffer, gaps for alignment included
  std::int64_t parameter_elements = 0;
  double flops_per_token = 0;                      // forward, attention left out
  std::int64_t trained = 0;                        // elements from here on have gradients
  std::int64_t rank = 0;                           // of adapters; 0: there are none
  double scale = 0;                                // of what they add
  std::map<std::int64_t, AdapterLayout> adapters;  // by the offset of the matrix

  const AdapterLayout* adapter_of(const Range& matrix) const {
    const auto at = adapters.find(matrix.offset);
    return at == adapters.end() ? nullptr : &at->second;
  }
};

Layout make_layout(const Config& config, const std::optional<kit::Adapter>& adapter = {});

}  // namespace grpo::transformer

#endif
