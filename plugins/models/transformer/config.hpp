// config.hpp: what config.json says, checked, in one form for all families and both styles of file.
#ifndef GRPO_TRANSFORMER_CONFIG_HPP
#define GRPO_TRANSFORMER_CONFIG_HPP

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace grpo::transformer {

struct Config {
  std::string family;  // "llama", "qwen2", "qwen3", "mistral"
  std::int64_t vocabulary = 0, hidden = 0, ffn = 0, layers = 0;
  std::int64_t heads = 0, kv_heads = 0, head_dim = 0;
  std::int64_t max_positions = 0;
  double norm_eps = 1e-6, init_std = 0.02;
  bool tied = false;  // the head is the embedding
  bool qkv_bias = false, o_bias = false, mlp_bias = false;
  bool qk_norm = false;              // RMS norm of each head's query and key, before RoPE
  std::vector<std::int64_t> window;  // [layers] a query sees this many tokens, itself counted; 0: all
  std::vector<float> inv_freq;       // [head_dim / 2] radians a position, scaling included
  double rope_scale = 1;             // factor on cos and sin (yarn)

  std::int64_t q_size() const { return heads * head_dim; }
  std::int64_t kv_size() const { return kv_heads * head_dim; }
  std::int64_t qkv_size() const { return q_size() + 2 * kv_size(); }
  std::int64_t group() const { return heads / kv_heads; }  // query heads that share a key head
};

// Throws std::runtime_error naming the file and the key.
Config read_config(const std::filesystem::path& directory);

// The angles of n positions: cos and sin are [n, head_dim / 2], rope_scale included.
void rope_table(const Config& config, const std::int32_t* positions, std::int64_t n, float* cos, float* sin);

}  // namespace grpo::transformer

#endif
