// model.safetensors from the tensors: names, row order, types.
#include <cmath>
#include <cstring>
#include <grpo/kit/safetensors.hpp>

#include "convert.hpp"
#include "dequantize.hpp"

namespace grpo::import {
namespace {

struct Target {
  std::string source;  // of the file
  std::string name;    // of Hugging Face
  std::vector<std::int64_t> shape;
  std::int64_t heads = 0;  // rows are to be put back in order, head by head; 0: they are in order
};

// Everything a model of this shape has, in the order of its layers.
std::vector<Target> targets(const ModelShape& s) {
  const std::int64_t q = s.heads * s.head_dim, kv = s.kv_heads * s.head_dim;
  std::vector<Target> out = {{"token_embd.weight", "model.embed_tokens.weight", {s.vocabulary, s.hidden}}};
  for (std::int64_t layer = 0; layer < s.layers; ++layer) {
    const std::string from = "blk." + std::to_string(layer) + ".", to = "model.layers." + std::to_string(layer) + ".";
    const auto add = [&](const char* source, const char* name, std::vector<std::int64_t> shape,
                         std::int64_t heads = 0) {
      out.push_back({from + source, to + name, std::move(shape), s.interleaved ? heads : 0});
    };
    add("attn_norm.weight", "input_layernorm.weight", {s.hidden});
    add("attn_q.weight", "self_attn.q_proj.weight", {q, s.hidden}, s.heads);
    add("attn_k.weight", "self_attn.k_proj.weight", {kv, s.hidden}, s.kv_heads);
    add("attn_v.weight", "self_attn.v_proj.weight", {kv, s.hidden});
    add("attn_output.weight", "self_attn.o_proj.weight", {s.hidden, q});
    if (s.qkv_bias) {
      add("attn_q.bias", "self_attn.q_proj.bias", {q}, s.heads);
      add("attn_k.bias", "self_attn.k_proj.bias", {kv}, s.kv_heads);
      add("attn_v.bias", "self_attn.v_proj.bias", {kv});
    }
    if (s.output_bias) add("attn_output.bias", "self_attn.o_proj.bias", {s.hidden});
    if (s.qk_norm) {
      add("attn_q_norm.weight", "self_attn.q_norm.weight", {s.head_dim});
      add("attn_k_norm.weight", "self_attn.k_norm.weight", {s.head_dim});
    }
    add("ffn_norm.weight", "post_attention_layernorm.weight", {s.hidden});
    add("ffn_gate.weight", "mlp.gate_proj.weight", {s.intermediate, s.hidden});
    add("ffn_up.weight", "mlp.up_proj.weight", {s.intermediate, s.hidden});
    add("ffn_down.weight", "mlp.down_proj.weight", {s.hidden, s.intermediate});
    if (s.mlp_bias) {
      add("ffn_gate.bias", "mlp.gate_proj.bias", {s.intermediate});
      add("ffn_up.bias", "mlp.up_proj.bias", {s.intermediate});
      add("ffn_down.bias", "mlp.down_proj.bias", {s.hidden});
    }
  }
  out.push_back({"output_norm.weight", "model.norm.weight", {s.hidden}});
  if (!s.tied) out.push_back({"output.weight", "lm_head.weight", {s.vocabulary, s.hidden}});
  return out;
}

// Every tensor of the model is there in its shape, and nothing else is.
void check(const GgufFile& file, const std::vector<Target>& all) {
  std::map<std::string, const Target*> by_source;
  for (const Target& t : all) {
    by_source.emplace(t.source, &t);
    const GgufTensor* found = file.tensor(t.source);
    if (!found) throw file.error("tensor " + t.source + " is missing: fetch the whole model in one file");
    if (found->shape != t.shape)
      throw file.error("tensor " + t.source + " has shape " + kit::shape_text(found->shape) + ", the metadata say " +
                       kit::shape_text(t.shape));
  }
  for (const GgufTensor& t : file.tensors())
    if (t.name != "rope_freqs.weight" && !by_source.count(t.name))
      throw file.error("tensor " + t.name + " has no place in " + file.text("general.architecture") +
                       " models: a variant that is not supported");
}

// llama.cpp pairs rows 2j and 2j+1 of a head for RoPE, Hugging Face rows j and j + d/2.
std::vector<float> rows_in_order(const std::vector<float>& from, std::int64_t heads, std::int64_t rows) {
  const std::size_t columns = from.size() / static_cast<std::size_t>(rows);
  const std::int64_t d = rows / heads;
  std::vector<float> to(from.size());
  for (std::int64_t h = 0; h < heads; ++h)
    for (std::int64_t r = 0; r < d; ++r) {
      const std::int64_t place = r % 2 * (d / 2) + r / 2;
      std::memcpy(&to[static_cast<std::size_t>(h * d + place) * columns],
                  &from[static_cast<std::size_t>(h * d + r) * columns], columns * sizeof(float));
    }
  return to;
}

std::vector<std::uint16_t> as_f16(const GgufFile& file, const Target& t, const std::vector<float>& values) {
  std::vector<std::uint16_t> out(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    out[i] = float_to_f16(values[i]);
    if ((out[i] & 0x7fff) == 0x7c00 && std::isfinite(values[i]))
      throw file.error("tensor " + t.source + " has a value of " + std::to_string(values[i]) +
                       ", too large for float16: take dtype bfloat16 or float32");
  }
  return out;
}

}  // namespace

void write_weights(const GgufFile& file, const ModelShape& shape, const std::filesystem::path& dir,
                   const GgufOptions& options, GgufReport& report) {
  const auto all = targets(shape);
  check(file, all);
  const kit::Dtype dtype = options.dtype == "float32"   ? kit::Dtype::f32
                           : options.dtype == "float16" ? kit::Dtype::f16
                                                        : kit::Dtype::bf16;
  std::vector<kit::TensorSpec> specs;
  for (const Target& t : all) specs.push_back({t.name, dtype, t.shape});
  kit::SafetensorsWriter writer(dir / "model.safetensors", specs);

  std::vector<float> values;
  for (const Target& t : all) {
    const GgufTensor& from = *file.tensor(t.source);
    values.resize(static_cast<std::size_t>(from.elements));
    dequantize(*quant_type(from.type), from.data, from.elements, values.data());
    if (t.heads) values = rows_in_order(values, t.heads, t.shape.front());
    if (dtype == kit::Dtype::f32) {
      writer.write(t.name, values.data(), values.size() * sizeof(float));
    } else if (dtype == kit::Dtype::f16) {
      writer.write(t.name, as_f16(file, t, values).data(), values.size() * 2);
    } else {
      std::vector<std::uint16_t> narrow(values.size());
      kit::float_to_bf16(values.data(), narrow.data(), values.size());
      writer.write(t.name, narrow.data(), narrow.size() * 2);
    }
    report.n_parameters += from.elements;
    ++report.n_tensors;
    if (options.progress) options.progress(report.n_tensors, static_cast<std::int64_t>(all.size()), t.name);
  }
  writer.finish();
}

}  // namespace grpo::import
