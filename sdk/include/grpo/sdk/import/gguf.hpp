// gguf.hpp: a GGUF file in, a Hugging Face model directory out.
//
// Main idea. llama.cpp's one-file format carries weights, configuration, tokenizer and chat template. Everything here
// works on Hugging Face directories, so the file is converted once:
//
//     grpo::import::import_gguf("SmolLM2-135M-Instruct.Q8_0.gguf", "models/SmolLM2-135M-Instruct");
//
// writes model.safetensors, config.json, generation_config.json, tokenizer.json, tokenizer_config.json and
// chat_template.jinja, which transformers 4 and 5, vLLM and grpo-host read.
//
// What is read: GGUF versions 2 and 3, little-endian; tensor types F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K,
// Q5_K, Q6_K; architectures llama (also Mistral's files, which say llama), qwen2, qwen3; byte-level BPE tokenizers
// ("gpt2") with the pre-tokenizers of pre_tokenizer_names(). Rows of q and k that llama.cpp interleaved for its RoPE
// (architecture llama) are put back.
//
// Source: the GGUF specification and the block layouts of ggml. Target: grpo_import.
#ifndef GRPO_SDK_IMPORT_GGUF_HPP
#define GRPO_SDK_IMPORT_GGUF_HPP

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace grpo::import {

struct GgufOptions {
  // How the weights are stored: "float32", "float16" or "bfloat16" (rounded to nearest even). Quantised files lose
  // nothing in float32.
  std::string dtype = "float32";
  // Replace output_dir when it exists and is not empty. Without it such a directory is an error.
  bool overwrite = false;
  // [optional] Told after each tensor.
  std::function<void(std::int64_t done, std::int64_t total, const std::string& tensor)> progress;
};

struct GgufReport {
  std::string architecture;        // as the file says: "llama"
  std::string pre_tokenizer;       // as the file says: "smollm"
  std::int64_t n_tensors = 0;      // written
  std::int64_t n_parameters = 0;   // elements written
  std::int64_t n_tokens = 0;       // vocabulary
  std::vector<std::string> notes;  // what a user should know: a default taken because the file does not say
};

// Converts. Works in a sibling of output_dir and renames it at the end: after an error output_dir is as before.
// Memory: the file is mapped, one tensor at a time is widened.
// Throws grpo::Error naming the file and the key or tensor. [any thread]
GgufReport import_gguf(const std::filesystem::path& gguf_path, const std::filesystem::path& output_dir,
                       const GgufOptions& options = {});

// The values of tokenizer.ggml.pre that are understood.
std::vector<std::string> pre_tokenizer_names();

}  // namespace grpo::import

#endif
