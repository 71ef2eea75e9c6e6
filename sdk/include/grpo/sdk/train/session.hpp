// session.hpp: everything a run has open: plugins, text, model, sampler, rewards, optimizer.
//
// Main idea. A stage says what it needs; the session opens it from the configuration, in an order in which each mistake
// is found as early and as cheaply as it can be. All of it belongs to the thread that makes the session.
#ifndef GRPO_SDK_TRAIN_SESSION_HPP
#define GRPO_SDK_TRAIN_SESSION_HPP

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "grpo/sdk/config/config.hpp"
#include "grpo/sdk/plugins/model.hpp"
#include "grpo/sdk/plugins/optimizer.hpp"
#include "grpo/sdk/plugins/registry.hpp"
#include "grpo/sdk/plugins/sampler.hpp"
#include "grpo/sdk/plugins/services.hpp"
#include "grpo/sdk/report/console.hpp"
#include "grpo/sdk/train/prompts.hpp"
#include "grpo/sdk/train/scoring.hpp"

namespace grpo::train {

struct Needs {
  bool sampler = false, rewards = false, optimizer = false;
};

class Session {
 public:
  // plugin_directories: searched before those of run.plugins. weights: the directory to read weights from, such as a
  // checkpoint; empty: model.path. Throws grpo::Error.
  Session(config::Config config, std::vector<std::filesystem::path> plugin_directories, Needs needs,
          const std::filesystem::path& weights = {});
  ~Session();

  const config::Config& config() const { return config_; }
  plugins::Registry& registry() { return registry_; }
  plugins::Services& services() { return *services_; }
  const std::shared_ptr<const ModelText>& text() const { return text_; }
  plugins::Model& model() { return *model_; }
  plugins::Sampler& sampler() { return *sampler_; }
  plugins::Optimizer& optimizer() { return *optimizer_; }

  // The frozen model that the KL term compares with. Opened on the first call. model() itself where that has adapters
  // and no other is named: then its base weights are meant (Model::forward_base).
  plugins::Model& reference();
  // Opens the rewards of the configuration. Once.
  std::unique_ptr<Scorer> make_scorer(plugins::ColumnTypes types);

  // Sampling for rollouts, by sampler.*, with the ids that end a text.
  std::shared_ptr<plugins::Sampling> sampling() const;
  // Longest prompt that leaves room for max_new tokens: data.max_prompt_length, or what the model leaves. Throws when
  // the model's positions cannot hold both; key: the one that max_new comes from.
  std::int64_t prompt_limit(std::int64_t max_new, const char* key = "sampler.max_new_tokens") const;
  // Where the files beside the weights come from.
  const std::filesystem::path& model_directory() const { return model_directory_; }

 private:
  std::unique_ptr<plugins::Model> open_model(const std::filesystem::path& path, bool trained, const char* label);
  std::string optimizer_plugin(std::int32_t device) const;
  nlohmann::json model_options(const std::filesystem::path& path, bool trained) const;

  config::Config config_;
  plugins::Registry registry_;
  std::shared_ptr<plugins::Services> services_;
  std::shared_ptr<const ModelText> text_;
  std::filesystem::path model_directory_;
  std::unique_ptr<plugins::Model> model_, reference_;
  std::unique_ptr<plugins::Sampler> sampler_;
  std::unique_ptr<plugins::Optimizer> optimizer_;
};

// A Registry over these directories (and single files), for commands that need no model.
plugins::Registry make_registry(const std::vector<std::filesystem::path>& places);

// Weighted rewards of the configuration, opened. Throws grpo::Error naming the entry.
std::vector<WeightedReward> open_rewards(plugins::Registry& registry, const config::Config& config,
                                         std::shared_ptr<const plugins::Services> services);

// Services whose log lines go to the run's log, with the tokenizer if there is one. threads: of the task pool.
std::shared_ptr<plugins::Services> make_services(std::shared_ptr<const ModelText> text, int threads);

}  // namespace grpo::train

#endif
