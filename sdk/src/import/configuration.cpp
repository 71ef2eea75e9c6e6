// config.json and generation_config.json from the metadata.
#include <charconv>
#include <cmath>
#include <cstring>

#include "convert.hpp"
#include "dequantize.hpp"

namespace grpo::import {
namespace {

using Json = nlohmann::ordered_json;

// A value that passed through fp32: 9.99999974e-06 was written as 1e-05.
double as_written(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, static_cast<float>(value)).ptr;
  double out = value;
  std::from_chars(text, end, out);
  return out;
}

// Llama 3.1 puts its RoPE scaling into a tensor of factors, one a frequency. The four numbers of config.json are found
// again and proven by computing the factors from them.
Json llama3_scaling(const GgufFile& file, const GgufTensor& t, const ModelShape& shape) {
  if (t.elements != shape.head_dim / 2) throw file.error("tensor rope_freqs.weight has not one factor a frequency");
  std::vector<float> factors(static_cast<std::size_t>(t.elements));
  dequantize(*quant_type(t.type), t.data, t.elements, factors.data());
  const double factor = as_written(factors.back());
  constexpr double low = 1, high = 4, original = 8192, pi = 3.14159265358979323846;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    const double wavelength =
        2 * pi * std::pow(shape.rope_theta, 2.0 * static_cast<double>(i) / static_cast<double>(shape.head_dim));
    const double smooth = (original / wavelength - low) / (high - low);
    const double expected = wavelength < original / high  ? 1
                            : wavelength > original / low ? factor
                                                          : 1 / ((1 - smooth) / factor + smooth);
    if (!(std::abs(expected - factors[i]) < 1e-3 * expected))
      throw file.error(
          "tensor rope_freqs.weight holds a RoPE scaling that config.json cannot express: use the original model "
          "directory");
  }
  return {{"rope_type", "llama3"},
          {"factor", factor},
          {"low_freq_factor", low},
          {"high_freq_factor", high},
          {"original_max_position_embeddings", static_cast<std::int64_t>(original)}};
}

Json rope_scaling(const GgufFile& file, const ModelShape& shape) {
  if (const GgufTensor* t = file.tensor("rope_freqs.weight")) return llama3_scaling(file, *t, shape);
  const std::string prefix = shape.architecture + ".rope.scaling.";
  const std::string type = file.text(prefix + "type", "none");
  if (type == "none") return nullptr;
  if (type != "linear" && type != "yarn")
    throw file.error("key " + prefix + "type is " + type + ": none, linear and yarn are understood");
  Json scaling = {{"rope_type", type}, {"factor", as_written(file.number(prefix + "factor"))}};
  if (type == "yarn")
    scaling["original_max_position_embeddings"] = file.integer(prefix + "original_context_length", shape.context);
  return scaling;
}

std::int64_t positive(const GgufFile& file, const std::string& key) {
  const std::int64_t v = file.integer(key);
  if (v <= 0 || v > (std::int64_t{1} << 31))
    throw file.error("key " + key + " is " + std::to_string(v) + ", which cannot be");
  return v;
}

std::string first_layer(const char* part) { return std::string("blk.0.") + part; }

}  // namespace

ModelShape read_shape(const GgufFile& file, std::vector<std::string>& notes) {
  ModelShape s;
  s.architecture = file.text("general.architecture");
  const std::string prefix = s.architecture + ".";
  if (s.architecture != "llama" && s.architecture != "qwen2" && s.architecture != "qwen3")
    throw file.error("architecture " + s.architecture + " is not supported; llama, qwen2 and qwen3 are");
  if (file.integer(prefix + "expert_count", 0) > 0)
    throw file.error("key " + prefix + "expert_count: mixtures of experts are not supported");

  s.layers = positive(file, prefix + "block_count");
  if (s.layers > 4096)
    throw file.error("key " + prefix + "block_count is " + std::to_string(s.layers) + ", which cannot be");
  s.hidden = positive(file, prefix + "embedding_length");
  s.intermediate = positive(file, prefix + "feed_forward_length");
  s.context = positive(file, prefix + "context_length");
  s.heads = positive(file, prefix + "attention.head_count");
  s.kv_heads =
      file.has(prefix + "attention.head_count_kv") ? positive(file, prefix + "attention.head_count_kv") : s.heads;
  s.rms_norm_eps = as_written(file.number(prefix + "attention.layer_norm_rms_epsilon"));
  if (!file.has(prefix + "rope.freq_base")) notes.push_back("the file gives no RoPE base: 10000 is taken");
  s.rope_theta = as_written(file.number(prefix + "rope.freq_base", 10000));
  s.head_dim =
      file.has(prefix + "attention.key_length") ? positive(file, prefix + "attention.key_length") : s.hidden / s.heads;
  if (s.heads % s.kv_heads != 0 || s.head_dim % 2 != 0 || s.head_dim == 0)
    throw file.error("keys " + prefix + "attention.*: " + std::to_string(s.heads) + " heads, " +
                     std::to_string(s.kv_heads) + " key heads and " + std::to_string(s.head_dim) +
                     " values a head do not go together");
  if (file.integer(prefix + "attention.value_length", s.head_dim) != s.head_dim)
    throw file.error("key " + prefix + "attention.value_length: values longer than keys are not supported");
  if (file.integer(prefix + "rope.dimension_count", s.head_dim) != s.head_dim)
    throw file.error("key " + prefix + "rope.dimension_count: RoPE over a part of the head is not supported");

  const GgufTensor* embeddings = file.tensor("token_embd.weight");
  if (!embeddings) throw file.error("tensor token_embd.weight is missing: this is no whole model");
  s.vocabulary = embeddings->shape.front();
  s.tied = !file.tensor("output.weight");
  s.qkv_bias = file.tensor(first_layer("attn_q.bias"));
  s.output_bias = file.tensor(first_layer("attn_output.bias"));
  s.mlp_bias = file.tensor(first_layer("ffn_gate.bias"));
  s.qk_norm = file.tensor(first_layer("attn_q_norm.weight"));
  s.interleaved = s.architecture == "llama";
  s.sliding_window = file.integer(prefix + "attention.sliding_window", 0);

  s.model_type = s.architecture;
  if (s.architecture == "llama" && s.sliding_window > 0) s.model_type = "mistral";
  s.class_name = s.model_type == "llama"   ? "LlamaForCausalLM"
                 : s.model_type == "qwen2" ? "Qwen2ForCausalLM"
                 : s.model_type == "qwen3" ? "Qwen3ForCausalLM"
                                           : "MistralForCausalLM";
  const bool biases_fit = s.model_type == "llama"   ? s.qkv_bias == s.output_bias
                          : s.model_type == "qwen2" ? s.qkv_bias && !s.output_bias && !s.mlp_bias
                                                    : !s.qkv_bias && !s.output_bias && !s.mlp_bias;
  if (!biases_fit || s.qk_norm != (s.model_type == "qwen3"))
    throw file.error("layer 0 has biases or norms that " + s.class_name +
                     " has not, or lacks some: a variant that is not supported");
  s.rope_scaling = rope_scaling(file, s);
  return s;
}

nlohmann::ordered_json configuration(const GgufFile& file, const ModelShape& s, const std::string& dtype) {
  // Both ways to say the same: transformers 5 reads rope_parameters and dtype, transformers 4 the others.
  Json parameters = s.rope_scaling.is_null() ? Json{{"rope_type", "default"}} : s.rope_scaling;
  parameters["rope_theta"] = s.rope_theta;
  Json c = {{"architectures", Json::array({s.class_name})},
            {"model_type", s.model_type},
            {"hidden_size", s.hidden},
            {"intermediate_size", s.intermediate},
            {"num_hidden_layers", s.layers},
            {"num_attention_heads", s.heads},
            {"num_key_value_heads", s.kv_heads},
            {"head_dim", s.head_dim},
            {"vocab_size", s.vocabulary},
            {"max_position_embeddings", s.context},
            {"hidden_act", "silu"},
            {"rms_norm_eps", s.rms_norm_eps},
            {"rope_theta", s.rope_theta},
            {"rope_scaling", s.rope_scaling},
            {"rope_parameters", parameters},
            {"tie_word_embeddings", s.tied},
            {"attention_dropout", 0.0},
            {"initializer_range", 0.02},
            {"use_cache", true},
            {"torch_dtype", dtype},
            {"dtype", dtype}};
  if (s.model_type == "llama") {
    c["attention_bias"] = s.qkv_bias;
    c["mlp_bias"] = s.mlp_bias;
  } else if (s.model_type == "mistral") {
    c["sliding_window"] = s.sliding_window;
  } else {
    if (s.model_type == "qwen3") c["attention_bias"] = false;
    c["use_sliding_window"] = false;
    c["sliding_window"] = nullptr;
  }
  const Json tokens = generation_configuration(file);
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"})
    if (tokens.contains(key)) c[key] = tokens[key];
  return c;
}

nlohmann::ordered_json generation_configuration(const GgufFile& file) {
  Json g = Json::object();
  const auto id = [&](const char* name) {
    return file.integer(std::string("tokenizer.ggml.") + name + "_token_id", -1);
  };
  if (id("bos") >= 0) g["bos_token_id"] = id("bos");
  // A turn may end by another token than a text does: generation stops at each.
  const std::int64_t eos = id("eos"), eot = id("eot");
  if (eos >= 0 && eot >= 0 && eot != eos) {
    g["eos_token_id"] = Json::array({eos, eot});
  } else if (eos >= 0) {
    g["eos_token_id"] = eos;
  }
  if (id("padding") >= 0) g["pad_token_id"] = id("padding");
  return g;
}

}  // namespace grpo::import
