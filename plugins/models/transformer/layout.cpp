#include "layout.hpp"

namespace grpo::transformer {
namespace {

constexpr std::int64_t alignment = 16;  // elements: a cache line of fp32

class Builder {
 public:
  explicit Builder(Layout& layout) : layout_(layout) {}

  // Several parameters of equal width, one under the other.
  Range matrices(const std::vector<std::pair<std::string, std::int64_t>>& parts, std::int64_t columns) {
    Range range = start(columns);
    for (const auto& [name, rows] : parts) add(range, name + ".weight", rows, {rows, columns}, Parameter::Kind::matrix);
    adapted_.push_back({range, parts});
    layout_.flops_per_token += 2.0 * static_cast<double>(range.size());
    return range;
  }
  Range biases(bool wanted, const std::vector<std::pair<std::string, std::int64_t>>& parts) {
    if (!wanted) return {};
    Range range = start(1);
    for (const auto& [name, rows] : parts) add(range, name + ".bias", rows, {rows}, Parameter::Kind::bias);
    return range;
  }
  Range norm(const std::string& name, std::int64_t size) {
    Range range = start(1);
    add(range, name + ".weight", size, {size}, Parameter::Kind::norm);
    return range;
  }
  // Of the matrices so far; from the first on, everything is trained.
  void adapters(const kit::Adapter& adapter) {
    layout_.trained = start(1).offset;
    layout_.rank = adapter.rank;
    layout_.scale = adapter.scale();
    for (const auto& [matrix, parts] : adapted_) {
      AdapterLayout made;
      made.a = start(matrix.columns);
      for (const auto& [name, rows] : parts)
        if (adapter.has(name))
          add(made.a, kit::adapter_tensor(name, 'A'), adapter.rank, {adapter.rank, matrix.columns},
              Parameter::Kind::adapter_a);
      std::int64_t row = 0;
      for (const auto& [name, rows] : parts) {
        if (adapter.has(name)) {
          made.parts.push_back({row, start(adapter.rank)});
          add(made.parts.back().b, kit::adapter_tensor(name, 'B'), rows, {rows, adapter.rank},
              Parameter::Kind::adapter_b);
        }
        row += rows;
      }
      if (made.parts.empty()) continue;
      layout_.flops_per_token += 2.0 * static_cast<double>(made.a.size());
      for (const auto& part : made.parts) layout_.flops_per_token += 2.0 * static_cast<double>(part.b.size());
      layout_.adapters.emplace(matrix.offset, std::move(made));
    }
  }

 private:
  Range start(std::int64_t columns) {
    layout_.elements = (layout_.elements + alignment - 1) / alignment * alignment;
    return {layout_.elements, 0, columns};
  }
  void add(Range& range, std::string name, std::int64_t rows, std::vector<std::int64_t> shape, Parameter::Kind kind) {
    layout_.parameters.push_back({std::move(name), std::move(shape), layout_.elements, kind});
    const std::int64_t size = rows * range.columns;
    layout_.elements += size;
    layout_.parameter_elements += size;
    range.rows += rows;
  }

  Layout& layout_;
  std::vector<std::pair<Range, std::vector<std::pair<std::string, std::int64_t>>>> adapted_;
};

}  // namespace

Layout make_layout(const Config& c, const std::optional<kit::Adapter>& adapter) {
  Layout layout;
  Builder build(layout);
  layout.embedding = build.matrices({{"model.embed_tokens", c.vocabulary}}, c.hidden);
  for (std::int64_t i = 0; i < c.layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    const std::string a = layer + "self_attn.", m = layer + "mlp.";
    LayerLayout l;
    l.input_norm = build.norm(layer + "input_layernorm", c.hidden);
    const std::vector<std::pair<std::string, std::int64_t>> qkv{
        {a + "q_proj", c.q_size()}, {a + "k_proj", c.kv_size()}, {a + "v_proj", c.kv_size()}};
    l.qkv = build.matrices(qkv, c.hidden);
    l.qkv_bias = build.biases(c.qkv_bias, qkv);
    if (c.qk_norm) {
      l.q_norm = build.norm(a + "q_norm", c.head_dim);
      l.k_norm = build.norm(a + "k_norm", c.head_dim);
    }
    l.o = build.matrices({{a + "o_proj", c.hidden}}, c.q_size());
    l.o_bias = build.biases(c.o_bias, {{a + "o_proj", c.hidden}});
    l.post_norm = build.norm(layer + "post_attention_layernorm", c.hidden);
    const std::vector<std::pair<std::string, std::int64_t>> gate_up{{m + "gate_proj", c.ffn}, {m + "up_proj", c.ffn}};
    l.gate_up = build.matrices(gate_up, c.hidden);
    l.gate_up_bias = build.biases(c.mlp_bias, gate_up);
    l.down = build.matrices({{m + "down_proj", c.hidden}}, c.ffn);
    l.down_bias = build.biases(c.mlp_bias, {{m + "down_proj", c.hidden}});
    layout.layers.push_back(l);
  }
  layout.final_norm = build.norm("model.norm", c.hidden);
  // The embedding's look-up costs nothing, the head's product does: a tied matrix counts once either way.
  if (c.tied) {
    layout.head = layout.embedding;
  } else {
    layout.head = build.matrices({{"lm_head", c.vocabulary}}, c.hidden);
    layout.flops_per_token -= 2.0 * static_cast<double>(layout.embedding.size());
  }
  if (adapter) build.adapters(*adapter);
  return layout;
}

}  // namespace grpo::transformer
