// support.hpp: groups made by hand, the fake plugins, and a directory of the test's own.
#ifndef GRPO_TESTS_TRAIN_SUPPORT_HPP
#define GRPO_TESTS_TRAIN_SUPPORT_HPP

#include <grpo/sampler.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/registry.hpp"
#include "grpo/sdk/train/rollout.hpp"

namespace grpo::train {

class Scratch {
 public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "grpo-train-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no scratch directory");
    path_ = name;
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// The demo's tokenizer and configuration, which is all that the fake model's runs read.
inline void copy_demo_model(const std::filesystem::path& to) {
  std::filesystem::create_directories(to);
  for (const char* name : {"config.json", "tokenizer.json", "tokenizer_config.json"})
    std::filesystem::copy_file(std::filesystem::path(GRPO_SOURCE_DIR) / "host/demo" / name, to / name);
}

inline std::string read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// The steps of a run that wrote into this directory.
inline std::vector<nlohmann::json> metrics_of(const std::filesystem::path& run) {
  std::vector<nlohmann::json> all;
  std::ifstream in(run / "metrics.jsonl");
  for (std::string line; std::getline(in, line);) all.push_back(nlohmann::json::parse(line));
  return all;
}

template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "nothing was thrown";
}

inline plugins::Registry test_registry() {
  plugins::RegistrySettings settings;
  settings.isolate_first_load = false;
  plugins::Registry registry(settings);
  registry.add_file(GRPO_BINARY_DIR "/tests/fakes/fake_model.so");
  registry.add_file(GRPO_BINARY_DIR "/tests/plugins/test_moody_rewards.so");
  registry.add_file(GRPO_PLUGIN_DIR "/optimizer_adamw.so");
  return registry;
}

// A group whose samples have these completions and that many tokens each (by text length when not given).
inline Group group_of(const std::vector<std::string>& completions, std::int64_t prompt_tokens = 3) {
  Group group;
  group.prompt.record = std::make_shared<const nlohmann::json>(nlohmann::json{{"prompt", "p"}});
  group.prompt.text = "p";
  group.prompt.ground_truth = "t";
  for (std::int64_t i = 0; i < prompt_tokens; ++i) group.prompt.ids.push_back(static_cast<std::int32_t>(i + 1));
  for (const std::string& text : completions) {
    Sample sample;
    sample.text = text;
    sample.finish = GRPO_FINISH_STOP;
    for (const char c : text) sample.ids.push_back(c % 60);
    group.samples.push_back(std::move(sample));
  }
  return group;
}

}  // namespace grpo::train

#endif
