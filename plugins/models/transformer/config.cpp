// config.json to Config. Defaults are those of the configuration classes in transformers.
#include "config.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numbers>
#include <stdexcept>

namespace grpo::transformer {
namespace {

using nlohmann::json;

// One JSON object with its place, so that every message names file and key.
class Reader {
 public:
  Reader(std::string place, const json& object) : place_(std::move(place)), object_(object) {}

  bool has(const char* key) const { return object_.contains(key) && !object_[key].is_null(); }

  std::int64_t size(const char* key) const {
    if (!has(key)) fail(key, "is missing");
    const auto& value = object_[key];
    if (!value.is_number_integer() || value.get<double>() < 1 || value.get<double>() > 1e9)
      fail(key, "is " + value.dump() + ", expected a number from 1 to 1e9");
    return value.get<std::int64_t>();
  }
  std::int64_t size(const char* key, std::int64_t otherwise) const { return has(key) ? size(key) : otherwise; }

  double number(const char* key) const {
    if (!has(key)) fail(key, "is missing");
    if (!object_[key].is_number()) fail(key, "is " + object_[key].dump() + ", expected a number");
    return object_[key].get<double>();
  }
  double number(const char* key, double otherwise) const { return has(key) ? number(key) : otherwise; }

  double positive(const char* key) const {
    const double value = number(key);
    if (!(value > 0) || !std::isfinite(value)) fail(key, "is " + object_[key].dump() + ", expected a positive number");
    return value;
  }
  double positive(const char* key, double otherwise) const { return has(key) ? positive(key) : otherwise; }

  bool flag(const char* key, bool otherwise) const {
    if (!has(key)) return otherwise;
    if (!object_[key].is_boolean()) fail(key, "is " + object_[key].dump() + ", expected true or false");
    return object_[key].get<bool>();
  }

  std::string text(const char* key, const std::string& otherwise) const {
    if (!has(key)) return otherwise;
    if (!object_[key].is_string()) fail(key, "is " + object_[key].dump() + ", expected a text");
    return object_[key].get<std::string>();
  }

  const json& operator[](const char* key) const { return object_[key]; }

  [[noreturn]] void fail(const std::string& key, const std::string& what) const {
    throw std::runtime_error(place_ + ": \"" + key + "\" " + what);
  }

 private:
  std::string place_;
  const json& object_;
};

std::string read_family(const Reader& in, const std::string& path) {
  std::string family = in.text("model_type", "");
  if (family.empty() && in.has("architectures") && in["architectures"].is_array() && !in["architectures"].empty() &&
      in["architectures"][0].is_string()) {
    const auto architecture = in["architectures"][0].get<std::string>();
    for (const auto& [name, short_name] : {std::pair{"LlamaForCausalLM", "llama"},
                                           {"Qwen2ForCausalLM", "qwen2"},
                                           {"Qwen3ForCausalLM", "qwen3"},
                                           {"MistralForCausalLM", "mistral"}})
      if (architecture == name) family = short_name;
    if (family.empty()) family = architecture;
  }
  for (const char* known : {"llama", "qwen2", "qwen3", "mistral"})
    if (family == known) return family;
  throw std::runtime_error(path + ": unknown architecture \"" + family +
                           "\" (model_type); this plugin knows llama, qwen2, qwen3 and mistral");
}

// Layers whose attention is cut off by a window.
void read_windows(const Reader& in, Config& c) {
  c.window.assign(static_cast<std::size_t>(c.layers), 0);
  if (c.family == "llama") return;
  std::int64_t window = 0, first = 0;
  if (c.family == "mistral") {
    // A file that does not have the key means the class's default; null means none.
    window = in.has("sliding_window") ? in.size("sliding_window") : in["sliding_window_is_null"].get<bool>() ? 0 : 4096;
  } else if (in.flag("use_sliding_window", false)) {
    window = in.size("sliding_window", 0);
    first = in.has("max_window_layers") ? static_cast<std::int64_t>(in.number("max_window_layers")) : 28;
  }
  for (std::int64_t i = first; i < c.layers; ++i) c.window[static_cast<std::size_t>(i)] = window;
  if (!in.has("layer_types") || c.family == "mistral") return;
  const auto& types = in["layer_types"];
  if (!types.is_array() || types.size() != c.window.size())
    in.fail("layer_types", "needs " + std::to_string(c.layers) + " entries");
  for (std::size_t i = 0; i < c.window.size(); ++i) {
    if (types[i] == "sliding_attention") {
      c.window[i] = window;
    } else if (types[i] == "full_attention") {
      c.window[i] = 0;
    } else {
      in.fail("layer_types", "holds " + types[i].dump() + ", expected full_attention or sliding_attention");
    }
  }
}

void scale_llama3(const Reader& rope, double old_length, Config& c) {
  const double factor = rope.positive("factor");
  const double low = rope.positive("low_freq_factor"), high = rope.positive("high_freq_factor");
  for (auto& f : c.inv_freq) {
    const double wavelength = 2 * std::numbers::pi / f;
    if (wavelength < old_length / high) continue;
    if (wavelength > old_length / low) {
      f = static_cast<float>(f / factor);
    } else {
      const double smooth = (old_length / wavelength - low) / (high - low);
      f = static_cast<float>((1 - smooth) * f / factor + smooth * f);
    }
  }
}

// YaRN (Peng et al., 2023), with the rounded ramp limits and the factor on cos and sin that transformers has.
void scale_yarn(const Reader& rope, double theta, double old_length, Config& c) {
  const double factor =
      rope.has("factor") ? rope.positive("factor") : static_cast<double>(c.max_positions) / old_length;
  const auto magnitude = [](double scale, double m) { return scale <= 1 ? 1.0 : 0.1 * m * std::log(scale) + 1.0; };
  const double mscale = rope.number("mscale", 0), mscale_all = rope.number("mscale_all_dim", 0);
  c.rope_scale = rope.has("attention_factor")     ? rope.positive("attention_factor")
                 : mscale != 0 && mscale_all != 0 ? magnitude(factor, mscale) / magnitude(factor, mscale_all)
                                                  : magnitude(factor, 1);
  const auto dim = static_cast<double>(c.head_dim);
  const auto limit = [&](double rotations) {
    return dim * std::log(old_length / (rotations * 2 * std::numbers::pi)) / (2 * std::log(theta));
  };
  double low = limit(rope.positive("beta_fast", 32)), high = limit(rope.positive("beta_slow", 1));
  if (rope.flag("truncate", true)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < c.inv_freq.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    const double f = c.inv_freq[i];
    c.inv_freq[i] = static_cast<float>(f / factor * ramp + f * (1 - ramp));
  }
}

void read_rope(const Reader& in, const std::string& path, Config& c) {
  // transformers 5 puts everything into rope_parameters; 4 has rope_theta at the top and the rest in rope_scaling.
  const char* key = in.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  const json none = json::object();
  if (in.has(key) && !in[key].is_object()) in.fail(key, "is not an object");
  const json& object = in.has(key) ? in[key] : none;
  const Reader rope(path + ": " + key, object);
  const double theta = rope.has("rope_theta") ? rope.positive("rope_theta") : in.positive("rope_theta", 10000);
  const std::string type = rope.text("rope_type", rope.text("type", "default"));
  if (rope.number("partial_rotary_factor", in.number("partial_rotary_factor", 1)) != 1)
    in.fail("partial_rotary_factor", "other than 1 is not supported");
  for (std::int64_t i = 0; i < c.head_dim; i += 2)
    c.inv_freq.push_back(1.0f /
                         static_cast<float>(std::pow(
                             theta, static_cast<double>(static_cast<float>(i) / static_cast<float>(c.head_dim)))));
  const double old_length =
      in.positive("original_max_position_embeddings",
                  rope.positive("original_max_position_embeddings", static_cast<double>(c.max_positions)));
  if (type == "linear") {
    const double factor = rope.positive("factor");
    for (auto& f : c.inv_freq) f = static_cast<float>(f / factor);
  } else if (type == "llama3") {
    scale_llama3(rope, old_length, c);
  } else if (type == "yarn") {
    scale_yarn(rope, theta, old_length, c);
  } else if (type != "default") {
    in.fail(key, "has rope_type \"" + type + "\"; this plugin knows default, linear, llama3 and yarn");
  }
}

}  // namespace

Config read_config(const std::filesystem::path& directory) {
  const auto path = directory / "config.json";
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path.string() + ": cannot be opened; a Hugging Face model directory has one");
  json root;
  try {
    root = json::parse(file);
  } catch (const json::exception& e) {
    throw std::runtime_error(path.string() + ": not JSON: " + e.what());
  }
  if (!root.is_object()) throw std::runtime_error(path.string() + ": not a JSON object");
  root["sliding_window_is_null"] = root.contains("sliding_window") && root["sliding_window"].is_null();
  const Reader in(path.string(), root);

  Config c;
  c.family = read_family(in, path.string());
  c.vocabulary = in.size("vocab_size");
  c.hidden = in.size("hidden_size");
  c.ffn = in.size("intermediate_size");
  c.layers = in.size("num_hidden_layers");
  c.heads = in.size("num_attention_heads");
  c.kv_heads = in.size("num_key_value_heads", c.heads);
  if (c.heads % c.kv_heads != 0)
    in.fail("num_key_value_heads", "does not divide num_attention_heads, " + std::to_string(c.heads));
  if (!in.has("head_dim") && c.family != "qwen3" && c.hidden % c.heads != 0)
    in.fail("num_attention_heads", "does not divide hidden_size, and there is no head_dim");
  c.head_dim = in.size("head_dim", c.family == "qwen3" ? 128 : c.hidden / c.heads);
  if (c.head_dim % 2 != 0) in.fail("head_dim", "is odd; RoPE needs pairs");
  c.max_positions = in.size("max_position_embeddings");
  c.norm_eps = in.positive("rms_norm_eps", 1e-6);
  c.init_std = in.positive("initializer_range", 0.02);
  c.tied = in.flag("tie_word_embeddings", false);
  const bool attention_bias = in.flag("attention_bias", false);
  c.qkv_bias = c.family == "qwen2" || (c.family != "mistral" && attention_bias);
  c.o_bias = (c.family == "llama" || c.family == "qwen3") && attention_bias;
  c.mlp_bias = c.family == "llama" && in.flag("mlp_bias", false);
  c.qk_norm = c.family == "qwen3";
  const std::string activation = in.text("hidden_act", "silu");
  if (activation != "silu" && activation != "swish")
    in.fail("hidden_act", "is \"" + activation + "\"; this plugin knows silu");
  read_windows(in, c);
  read_rope(in, path.string(), c);
  return c;
}

}  // namespace grpo::transformer
