// tiny_model.hpp: a Llama of a few thousand random weights in a temporary folder, for model plugins that want a Hugging
// Face directory and were given none.
#ifndef GRPO_VALIDATE_TINY_MODEL_HPP
#define GRPO_VALIDATE_TINY_MODEL_HPP

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "grpo/sdk/plugins/manifest.hpp"

namespace grpo::plugins::conformance {

class TinyModel {
 public:
  // A model that must be given a directory ("path", required, {"format": "path"}), and is not.
  static bool fits(const ComponentManifest& component, const nlohmann::json& options);

  TinyModel();   // writes config.json and model.safetensors. Throws grpo::Error or std::runtime_error: a full disk
  ~TinyModel();  // removes them
  TinyModel(const TinyModel&) = delete;
  TinyModel& operator=(const TinyModel&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace grpo::plugins::conformance

#endif
