#include "tiny_model.hpp"

#include <grpo/random.h>
#include <stdlib.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "grpo/kit/safetensors.hpp"
#include "grpo/sdk/error.hpp"

namespace grpo::plugins::conformance {
namespace {

constexpr std::int64_t vocabulary = 64, hidden = 16, inner = 32, layers = 2, heads = 4, kv_heads = 2, head = 4;

nlohmann::json configuration() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", vocabulary},
          {"hidden_size", hidden},
          {"intermediate_size", inner},
          {"num_hidden_layers", layers},
          {"num_attention_heads", heads},
          {"num_key_value_heads", kv_heads},
          {"head_dim", head},
          {"max_position_embeddings", 256},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", false},
          {"torch_dtype", "float32"},
          {"bos_token_id", 1},
          {"eos_token_id", 2}};
}

std::vector<kit::TensorSpec> tensors() {
  const auto f32 = kit::Dtype::f32;
  std::vector<kit::TensorSpec> out{{"model.embed_tokens.weight", f32, {vocabulary, hidden}},
                                   {"model.norm.weight", f32, {hidden}},
                                   {"lm_head.weight", f32, {vocabulary, hidden}}};
  for (std::int64_t i = 0; i < layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    out.push_back({layer + "input_layernorm.weight", f32, {hidden}});
    out.push_back({layer + "post_attention_layernorm.weight", f32, {hidden}});
    out.push_back({layer + "self_attn.q_proj.weight", f32, {heads * head, hidden}});
    out.push_back({layer + "self_attn.k_proj.weight", f32, {kv_heads * head, hidden}});
    out.push_back({layer + "self_attn.v_proj.weight", f32, {kv_heads * head, hidden}});
    out.push_back({layer + "self_attn.o_proj.weight", f32, {hidden, heads * head}});
    out.push_back({layer + "mlp.gate_proj.weight", f32, {inner, hidden}});
    out.push_back({layer + "mlp.up_proj.weight", f32, {inner, hidden}});
    out.push_back({layer + "mlp.down_proj.weight", f32, {hidden, inner}});
  }
  return out;
}

void write_weights(const std::string& file) {
  const auto specs = tensors();
  kit::SafetensorsWriter writer(file, specs);
  std::uint64_t key = 20261120;
  for (const kit::TensorSpec& t : specs) {
    std::size_t n = 1;
    for (const std::int64_t d : t.shape) n *= static_cast<std::size_t>(d);
    std::vector<float> values(n);
    ++key;
    const bool norm = t.shape.size() == 1;
    // Large enough that contexts matter: the distribution is far from flat.
    const double scale = norm ? 0.2 : 2.0 / std::sqrt(static_cast<double>(t.shape.back()));
    for (std::size_t i = 0; i < n; ++i)
      values[i] = static_cast<float>((norm ? 1 : 0) + scale * (2 * grpo_random_uniform(key, i) - 1));
    writer.write(t.name, values.data(), n * sizeof(float));
  }
  writer.finish();
}

}  // namespace

bool TinyModel::fits(const ComponentManifest& component, const nlohmann::json& options) {
  const auto path = component.options.find("path");
  return kind_of(component.interface_id) == "model" && path != component.options.end() &&
         path->value("required", false) && path->value("format", "") == "path" && !options.contains("path");
}

TinyModel::TinyModel() {
  std::string folder = (std::filesystem::temp_directory_path() / "grpo-validate.XXXXXX").string();
  if (!::mkdtemp(folder.data())) throw Error("cannot make " + folder + ": " + std::strerror(errno));
  path_ = folder;
  std::ofstream(path_ + "/config.json") << configuration().dump(1);
  write_weights(path_ + "/model.safetensors");
}

TinyModel::~TinyModel() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace grpo::plugins::conformance
