// adapter.hpp: LoRA adapters as PEFT stores them.
//
// Main idea. Beside a frozen matrix W [out, in] of a model lie A [rank, in] and B [out, rank], and the layer computes
// W x + scale B A x (Hu et al. 2021). Only A and B are trained. On disk they are a directory with
//   adapter_config.json         rank, alpha, which matrices, and where the base model is
//   adapter_model.safetensors   "base_model.model.<matrix>.lora_A.weight" and ".lora_B.weight"
// which the Python package `peft` reads, and writes.
//
// Errors are std::runtime_error with a text that names the file and the key.
#ifndef GRPO_KIT_ADAPTER_HPP
#define GRPO_KIT_ADAPTER_HPP

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace grpo::kit {

struct Adapter {
  std::int64_t rank = 0;
  double alpha = 0;
  double dropout = 0;  // of the adapter's input, while training
  bool rslora = false;
  std::vector<std::string> targets;  // ends of the matrices' names, "q_proj" or longer ones; sorted
  std::filesystem::path base;        // directory of the base model; empty: not known

  double scale() const;                     // alpha / rank; with rslora alpha / sqrt(rank)
  bool has(std::string_view matrix) const;  // "model.layers.0.self_attn.q_proj"
};

// The matrices of a Llama-like model that can have one: q_proj, k_proj, ... down_proj.
const std::vector<std::string>& adapter_targets();

// What a user writes: {"rank": 16, "alpha": 32, "dropout": 0, "targets": ["q_proj", "v_proj"] or "all-linear",
// "rslora": false}, all but rank with defaults (alpha 2 rank, targets all-linear); PEFT's names (r, lora_alpha,
// lora_dropout, target_modules, use_rslora) are taken too. Throws with `where` before the key.
Adapter parse_adapter(const std::string& json, const std::string& where);

inline constexpr const char* adapter_config_file = "adapter_config.json";
inline constexpr const char* adapter_weights_file = "adapter_model.safetensors";

// Of a directory that holds one; nothing where there is no adapter_config.json. Throws for a kind of adapter that is
// not offered (DoRA, trained biases, ranks that differ, ...).
std::optional<Adapter> read_adapter(const std::filesystem::path& directory);
// adapter_config.json as PEFT reads it.
std::string adapter_config(const Adapter& adapter);

// "model.layers.0.self_attn.q_proj" and 'A' or 'B' -> the tensor's name.
std::string adapter_tensor(std::string_view matrix, char which);

// weight [out, in] += scale B A. a: [rank, in], b: [out, rank]. [any thread]
void add_adapter(float* weight, std::int64_t out, std::int64_t in, const float* a, const float* b, std::int64_t rank,
                 double scale);

}  // namespace grpo::kit

#endif
