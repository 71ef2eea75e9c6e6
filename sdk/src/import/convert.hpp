// convert.hpp: the three parts of a conversion. Each reads the mapped file; each throws grpo::Error.
#ifndef GRPO_SRC_IMPORT_CONVERT_HPP
#define GRPO_SRC_IMPORT_CONVERT_HPP

#include <cstdint>
#include <filesystem>
#include <grpo/sdk/import/gguf.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "reader.hpp"

namespace grpo::import {

// The shape of the model, as far as weights and configuration need it.
struct ModelShape {
  std::string architecture;  // of the file
  std::string model_type;    // of Hugging Face: llama, mistral, qwen2, qwen3
  std::string class_name;    // LlamaForCausalLM
  std::int64_t hidden = 0, intermediate = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0, vocabulary = 0,
               context = 0;
  std::int64_t sliding_window = 0;  // 0: none
  double rms_norm_eps = 0, rope_theta = 0;
  nlohmann::ordered_json rope_scaling;  // null: none; with "rope_type"
  bool tied = false, qkv_bias = false, output_bias = false, mlp_bias = false, qk_norm = false;
  bool interleaved = false;  // q and k rows are in llama.cpp's order
};

// Reads and checks; adds to notes what had to be assumed.
ModelShape read_shape(const GgufFile& file, std::vector<std::string>& notes);

nlohmann::ordered_json configuration(const GgufFile& file, const ModelShape& shape, const std::string& dtype);
nlohmann::ordered_json generation_configuration(const GgufFile& file);

// model.safetensors in dir. Fills the counts of the report.
void write_weights(const GgufFile& file, const ModelShape& shape, const std::filesystem::path& dir,
                   const GgufOptions& options, GgufReport& report);

// tokenizer.json, tokenizer_config.json and chat_template.jinja in dir.
void write_tokenizer(const GgufFile& file, const std::filesystem::path& dir, GgufReport& report);

// Throws when the text cannot be written or the JSON holds text that is no UTF-8.
void write_text(const std::filesystem::path& path, std::string_view text);
void write_json(const std::filesystem::path& path, const nlohmann::ordered_json& json);

}  // namespace grpo::import

#endif
