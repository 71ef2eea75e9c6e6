// model_directory.hpp: a model's weights out of a plugin and into a directory that `transformers` loads.
//
// The host alone writes files: the plugin streams named tensors, and everything that is not weights (config.json, the
// tokenizer, the chat template, the generation config) is copied from the directory the model came from.
#ifndef GRPO_SDK_TRAIN_MODEL_DIRECTORY_HPP
#define GRPO_SDK_TRAIN_MODEL_DIRECTORY_HPP

#include <filesystem>
#include <optional>
#include <string>

#include "grpo/kit/adapter.hpp"
#include "grpo/sdk/plugins/model.hpp"

namespace grpo::config {
struct Config;
}

namespace grpo::train {

// The adapter that the configuration asks for, or that model.path holds; nothing when all weights are trained. `base`
// is an absolute path. Throws grpo::Error naming the key.
std::optional<kit::Adapter> adapter_of(const config::Config& config);

// Writes `to` (made if missing): model.safetensors in dtype "float32" or "bfloat16", and the files of `from` that are
// not weights, with config.json's dtype set to what was written. Of a model with adapters those alone, in fp32 and as
// PEFT stores them. Every file is flushed to the disk before the function
// returns. Throws grpo::Error, or the plugin's error; what was written then is incomplete, so write into a temporary
// directory (see AtomicDirectory). The model's thread.
void write_model_directory(plugins::Model& model, const std::filesystem::path& from, const std::filesystem::path& to,
                           const std::string& dtype, const std::optional<kit::Adapter>& adapter);

// The same from a directory's own weights (single or sharded), without a model: floating tensors in `dtype`, training
// state left out. An adapter's directory gives its base model with the adapter merged. Throws grpo::Error or
// std::runtime_error naming the file.
void convert_model_directory(const std::filesystem::path& from, const std::filesystem::path& to,
                             const std::string& dtype);

// A directory that appears whole or not at all: work goes to a hidden sibling, commit flushes and renames it. Without
// commit the sibling is removed. An existing directory of the name is replaced at commit.
class AtomicDirectory {
 public:
  explicit AtomicDirectory(std::filesystem::path final_path);
  ~AtomicDirectory();
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;

  const std::filesystem::path& path() const { return work_; }
  void commit();

 private:
  std::filesystem::path final_, work_;
  bool done_ = false;
};

// Writes text to a file and flushes it to the disk. Throws grpo::Error naming the file (a full disk says so).
void write_file(const std::filesystem::path& path, const std::string& text);

}  // namespace grpo::train

#endif
