#include "grpo/sdk/train/session.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/call.hpp"
#include "grpo/sdk/plugins/isolated.hpp"
#include "grpo/sdk/plugins/recorded.hpp"
#include "grpo/sdk/train/components.hpp"
#include "grpo/sdk/train/option_paths.hpp"

namespace grpo::train {
namespace {

// The run's tokenizer as plugins see it.
class PolicyTokenizer final : public plugins::TokenizerService {
 public:
  explicit PolicyTokenizer(std::shared_ptr<const ModelText> text) : text_(std::move(text)) {}
  std::int64_t vocabulary() const override { return static_cast<std::int64_t>(text_->tokenizer.vocabulary_size()); }
  std::int32_t bos() const override { return text_->tokenizer.bos_id().value_or(-1); }
  std::int32_t eos() const override { return text_->tokenizer.eos_id().value_or(-1); }
  std::int32_t pad() const override { return text_->tokenizer.pad_id().value_or(-1); }
  std::vector<std::int32_t> encode(std::string_view text, bool special) const override {
    return special ? text_->tokenizer.encode(text) : text_->tokenizer.encode_plain(text);
  }
  std::string decode(const std::int32_t* ids, std::int64_t n, bool special) const override {
    return text_->tokenizer.decode_bytes({ids, static_cast<std::size_t>(n)}, /*skip_special_tokens=*/!special);
  }

 private:
  std::shared_ptr<const ModelText> text_;
};

// Options of a plugin: what the host knows goes in where the plugin's manifest has such a key; what the user wrote
// wins.
nlohmann::json merged(const plugins::ComponentManifest& manifest, const nlohmann::json& known,
                      const config::Options& user) {
  nlohmann::json options = nlohmann::json::object();
  for (const auto& [key, value] : known.items())
    if (manifest.options.contains(key)) options[key] = value;
  options.update(nlohmann::json::parse(user.json));
  return options;
}

// Keys of the host that reach a plugin as options of it.
const std::map<std::string, std::string, std::less<>> known_options = {
    {"model.options.path", "model.path"},     {"model.options.dtype", "model.dtype"},
    {"model.options.device", "model.device"}, {"model.options.init", "model.init"},
    {"model.options.lora", "model.lora"},     {"model.options.seed", "run.seed"},
    {"model.options.threads", "run.threads"}, {"optimizer.options.weight_decay", "optimizer.weight_decay"}};

// A plugin's options are checked under their keys: the message begins with one. Puts before it where that was written.
std::string placed(const config::Config& config, const std::string& message) {
  const std::string key = message.substr(0, message.find(':'));
  const auto is_given = [&](const std::string& k) { return config.origin(k).kind != config::Origin::Kind::built_in; };
  if (is_given(key)) return config.where(key) + message.substr(key.size());
  if (const auto own = known_options.find(key); own != known_options.end())
    return config.where(own->second) + message.substr(key.size());
  const auto options = key.find(".options");  // one that is missing: where the plugin is named
  const std::string plugin = options == key.npos ? key : key.substr(0, options) + ".plugin";
  return is_given(plugin) ? config.origin(plugin).text() + ": " + message : message;
}

// Opens a component; a mistake in its options is told with its place.
template <class Open>
auto opened(const config::Config& config, const Open& open) {
  try {
    return open();
  } catch (const plugins::CallError&) {  // the plugin's own
    throw;
  } catch (const Error& e) {
    throw Error(placed(config, e.what()));
  }
}

// The component, with its calls written into a file, if the configuration names one. key: of its section, for messages.
std::shared_ptr<const plugins::Component> recording(std::shared_ptr<const plugins::Component> component,
                                                    const std::filesystem::path& file, const config::Config& config,
                                                    const std::string& key) {
  if (file.empty()) return component;
  try {
    return plugins::recorded(std::move(component), {.file = file, .host = "grpo " GRPO_VERSION});
  } catch (const Error& e) {
    throw Error(config.where(key + ".record") + ": " + e.what());
  }
}

// Before anything is loaded: the directory is there, and the host can read its texts.
void check_model_directory(const config::Config& config, const std::string& key, const std::filesystem::path& path) {
  const std::string where = config.where(key) + ": " + path.string();
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored))
    throw Error(where + " is a file; a model is a directory in Hugging Face layout" +
                (path.extension() == ".gguf" ? " (grpo-host import FILE DIRECTORY makes one of a GGUF file)" : ""));
  if (!std::filesystem::is_directory(path, ignored))
    throw Error(where + ": there is no such directory (tools/get-smollm2 makes one; models are not downloaded)");
  if (std::filesystem::exists(path / "tokenizer.json", ignored)) return;
  for (const char* other : {"tokenizer.model", "vocab.json", "tekken.json"})
    if (std::filesystem::exists(path / other, ignored))
      throw Error(where + " holds " + other + ", but no tokenizer.json; transformers writes one: " +
                  "AutoTokenizer.from_pretrained(DIRECTORY).save_pretrained(DIRECTORY)");
  throw Error(where + " holds no tokenizer.json, so it is no model directory in Hugging Face layout");
}

// Threads that call rewards.
int reward_threads(const config::Config& config) {
  const int cores = config.run.threads > 0 ? static_cast<int>(config.run.threads) : usable_cores();
  return cores < 4 ? 1 : std::min(4, cores / 4);
}

plugins::IsolateSettings isolation_of(const config::Config& config, const config::RewardConfig& entry) {
  plugins::IsolateSettings settings;
  settings.memory_gib = entry.memory_gib;
  settings.processes = static_cast<int>(entry.processes);
  settings.children = static_cast<int>(entry.children);
  settings.threads = reward_threads(config);
  settings.max_crashes = static_cast<int>(entry.max_crashes);
  return settings;
}

std::shared_ptr<const plugins::Component> sampler_component(plugins::Registry& registry, const config::Config& config) {
  const plugins::IsolateSettings settings{.memory_gib = config.sampler.memory_gib};
  return load_component(registry, GRPO_SAMPLER_ID, config.sampler.plugin, check_plugins(config),
                        config.sampler.isolate ? &settings : nullptr);
}

}  // namespace

plugins::Registry make_registry(const std::vector<std::filesystem::path>& places) {
  plugins::Registry registry;
  for (const auto& place : places) {
    if (std::filesystem::is_regular_file(place))
      registry.add_file(place.string());
    else
      registry.add_directory(place.string());
  }
  return registry;
}

std::shared_ptr<plugins::Services> make_services(std::shared_ptr<const ModelText> text, int threads) {
  plugins::ServiceSettings settings;
  settings.log = [](std::int32_t level, const std::string& component, const std::string& line) {
    const auto known =
        static_cast<report::Level>(std::clamp(level, std::int32_t{GRPO_LOG_DEBUG}, std::int32_t{GRPO_LOG_ERROR}));
    report::log(known, component + ": " + line);
  };
  if (text) settings.tokenizer = std::make_shared<PolicyTokenizer>(std::move(text));
  settings.tasks = std::make_shared<plugins::TaskPool>(threads > 0 ? threads : usable_cores());
  return std::make_shared<plugins::Services>(std::move(settings));
}

std::vector<WeightedReward> open_rewards(plugins::Registry& registry, const config::Config& config,
                                         std::shared_ptr<const plugins::Services> services) {
  std::vector<WeightedReward> rewards;
  for (std::size_t i = 0; i < config.rewards.size(); ++i) {
    const auto& entry = config.rewards[i];
    const std::string key = "rewards." + std::to_string(i);
    WeightedReward reward;
    reward.name = entry.name.empty() ? entry.plugin : entry.name;
    for (const auto& other : rewards)
      if (other.name == reward.name)
        throw Error(config.where(key + ".name") + ": two rewards are called '" + reward.name +
                    "'; give one of them another name");
    reward.weight = entry.weight;
    reward.timeout_seconds = entry.timeout_seconds;
    reward.isolated = entry.isolate;
    const plugins::IsolateSettings isolation = isolation_of(config, entry);
    const bool check = check_plugins(config);
    const plugins::OpenSettings how{
        .services = services, .where = key + ".options", .label = reward.name, .progress = nullptr};
    const auto component = opened(config, [&] {
      return load_component(registry, GRPO_REWARD_ID, entry.plugin, check, entry.isolate ? &isolation : nullptr);
    });
    reward.reward = opened(config, [&] {
      return std::make_shared<plugins::Reward>(recording(component, entry.record, config, key),
                                               nlohmann::json::parse(entry.options.json), how);
    });
    // Without a recording: the call that was left behind is the last of the one there is.
    if (!entry.isolate)
      reward.reopen = [component, isolation, check, how, options = entry.options.json] {
        return std::make_shared<plugins::Reward>(isolated_component(component, check, isolation),
                                                 nlohmann::json::parse(options), how);
      };
    rewards.push_back(std::move(reward));
  }
  return rewards;
}

Session::Session(config::Config config, std::vector<std::filesystem::path> plugin_directories, Needs needs,
                 const std::filesystem::path& weights)
    : config_(std::move(config)) {
  plugin_directories.insert(plugin_directories.end(), config_.run.plugins.begin(), config_.run.plugins.end());
  registry_ = make_registry(plugin_directories);
  resolve_option_paths(config_, registry_);
  if (config_.model.path.empty())
    throw Error(config_.where("model.path") +
                ": not given; name a directory in Hugging Face layout (tools/get-smollm2 makes one)");
  if (needs.rewards && config_.rewards.empty())
    throw Error("rewards: the list is empty; name at least one, such as\n  rewards:\n    - plugin: math");
  model_directory_ = weights.empty() ? config_.model.path : weights;
  check_model_directory(config_, "model.path", model_directory_);
  if (!config_.data.chat_template.empty() && !std::filesystem::exists(config_.data.chat_template))
    throw Error(config_.where("data.chat_template") + ": " + config_.data.chat_template.string() +
                ": there is no such file");
  text_ = std::make_shared<const ModelText>(ModelText::load(model_directory_, config_.data.chat_template));
  services_ = make_services(text_, static_cast<int>(config_.run.threads));

  // Names first: a plugin that is not there should not cost the time of loading weights.
  registry_.find(GRPO_MODEL_ID, config_.model.plugin);
  if (needs.sampler) registry_.find(GRPO_SAMPLER_ID, config_.sampler.plugin);
  if (needs.optimizer) registry_.find(GRPO_OPTIMIZER_ID, optimizer_plugin(GRPO_DEVICE_CPU));
  if (needs.rewards)
    for (const auto& reward : config_.rewards) registry_.find(GRPO_REWARD_ID, reward.plugin);

  model_ = open_model(model_directory_, needs.optimizer, "model");
  const auto vocabulary = static_cast<std::int64_t>(text_->tokenizer.vocabulary_size());
  if (vocabulary > model_->info().vocabulary)
    throw Error(model_directory_.string() + ": the tokenizer has ids up to " + std::to_string(vocabulary - 1) +
                ", the model only " + std::to_string(model_->info().vocabulary) + " of them; do they belong together?");
  if (needs.sampler) {
    const auto& manifest = registry_.find(GRPO_SAMPLER_ID, config_.sampler.plugin);
    sampler_ = opened(config_, [&] {
      return std::make_unique<plugins::Sampler>(
          recording(sampler_component(registry_, config_), config_.sampler.record, config_, "sampler"),
          merged(manifest, nlohmann::json::object(), config_.sampler.options),
          plugins::OpenSettings{
              .services = services_, .where = "sampler.options", .label = "sampler", .progress = nullptr});
    });
    sampler_->bind(*model_);
    sampler_->update_weights(*model_, 0);
    if (text_->tokenizer.eos_ids().empty() && config_.sampler.stop_token_ids.empty() && config_.sampler.stop.empty())
      report::log(
          report::Level::warning,
          "no token ends a completion: " + model_directory_.string() +
              " names no eos token. Every completion will run to sampler.max_new_tokens; set sampler.stop_token_ids");
  }
  if (needs.optimizer) {
    if (!model_->can(GRPO_MODEL_TRAIN))
      throw Error(model_->component().label() + ": this model cannot be trained (no backward)");
    const std::string plugin = optimizer_plugin(model_->info().device_type);
    if (plugin != config_.optimizer.plugin)
      report::log(report::Level::info, "optimizer " + plugin + ", since the parameters are on a GPU");
    const auto& manifest = registry_.find(GRPO_OPTIMIZER_ID, plugin);
    optimizer_ = opened(config_, [&] {
      return std::make_unique<plugins::Optimizer>(
          recording(load_component(registry_, GRPO_OPTIMIZER_ID, plugin, check_plugins(config_)),
                    config_.optimizer.record, config_, "optimizer"),
          merged(manifest, {{"weight_decay", config_.optimizer.weight_decay}}, config_.optimizer.options),
          plugins::OpenSettings{
              .services = services_, .where = "optimizer.options", .label = "optimizer", .progress = nullptr});
    });
    // Norms and biases are spared the decay, as in transformers' trainer.
    optimizer_->bind(*model_, [](const grpo_parameter& p) { return p.value->dl.ndim < 2; });
  }
}

Session::~Session() {
  optimizer_.reset();  // they point into the model
  sampler_.reset();
}

// What the user wrote. Who wrote nothing gets AdamW, on the device where the parameters turned out to be.
std::string Session::optimizer_plugin(std::int32_t device) const {
  const bool chosen = config_.origin("optimizer.plugin").kind != config::Origin::Kind::built_in;
  return chosen || device != GRPO_DEVICE_CUDA ? config_.optimizer.plugin : "adamw_torch";
}

nlohmann::json Session::model_options(const std::filesystem::path& path, bool trained) const {
  const auto& m = config_.model;
  const nlohmann::json known = {{"path", path.string()},
                                {"dtype", m.dtype},
                                {"device", m.device},
                                // A checkpoint has weights, whatever the run started from.
                                {"init", path == m.path ? m.init : "checkpoint"},
                                {"seed", config_.run.seed},
                                {"threads", config_.run.threads},
                                {"trainable", trained}};
  const auto& manifest = registry_.find(GRPO_MODEL_ID, m.plugin);
  if (!trained || m.lora.json == "{}") return merged(manifest, known, m.options);
  if (!manifest.options.contains("lora"))
    throw Error(config_.where("model.lora") + ": the model plugin '" + m.plugin + "' has no adapters");
  if (known["init"] == "random")
    throw Error(config_.where("model.init") +
                ": random weights are nowhere on disk, and an adapter (model.lora) stands beside a model that is; save "
                "one first (train or sft without model.lora)");
  auto with_adapter = known;
  with_adapter["lora"] = nlohmann::json::parse(m.lora.json);
  return merged(manifest, with_adapter, m.options);
}

std::unique_ptr<plugins::Model> Session::open_model(const std::filesystem::path& path, bool trained,
                                                    const char* label) {
  return opened(config_, [&] {
    // The reference is not the model that is trained: a file holds the calls of one.
    const auto record = std::string_view(label) == "model" ? config_.model.record : std::filesystem::path();
    return std::make_unique<plugins::Model>(
        recording(load_component(registry_, GRPO_MODEL_ID, config_.model.plugin, check_plugins(config_)), record,
                  config_, "model"),
        model_options(path, trained),
        plugins::OpenSettings{.services = services_, .where = "model.options", .label = label, .progress = nullptr});
  });
}

plugins::Model& Session::reference() {
  const auto& path = config_.reference.path;
  if (path.empty() && model_->can(GRPO_MODEL_ADAPTED)) return *model_;  // by its frozen weights
  if (reference_) return *reference_;
  if (!path.empty() && !std::filesystem::is_directory(path))
    throw Error(config_.where("reference.path") + ": " + path.string() + ": there is no such directory");
  reference_ = open_model(path.empty() ? config_.model.path : path, false, "reference");
  return *reference_;
}

std::unique_ptr<Scorer> Session::make_scorer(plugins::ColumnTypes types) {
  return std::make_unique<Scorer>(
      open_rewards(registry_, config_, services_), std::move(types),
      config_.algorithm.on_reward_error == "stop" ? OnRewardError::stop : OnRewardError::drop_sample,
      reward_threads(config_));
}

std::shared_ptr<plugins::Sampling> Session::sampling() const {
  const auto& s = config_.sampler;
  auto sampling = std::make_shared<plugins::Sampling>();
  sampling->temperature = s.temperature;
  sampling->top_p = s.top_p;
  sampling->min_p = s.min_p;
  sampling->repetition_penalty = s.repetition_penalty;
  sampling->top_k = static_cast<std::int32_t>(std::max<std::int64_t>(0, s.top_k));
  sampling->min_new = static_cast<std::int32_t>(s.min_new_tokens);
  sampling->max_new = static_cast<std::int32_t>(s.max_new_tokens);
  sampling->stop = text_->tokenizer.eos_ids();
  for (const auto id : s.stop_token_ids) {
    if (id >= model_->info().vocabulary)
      throw Error(config_.where("sampler.stop_token_ids") + ": " + std::to_string(id) + " is no token of this model");
    sampling->stop.push_back(static_cast<std::int32_t>(id));
  }
  sampling->stop_text = s.stop;
  if (s.min_new_tokens > s.max_new_tokens)
    throw Error(config_.where("sampler.min_new_tokens") + ": " + std::to_string(s.min_new_tokens) +
                " is more than sampler.max_new_tokens, " + std::to_string(s.max_new_tokens));
  return sampling;
}

std::int64_t Session::prompt_limit(std::int64_t max_new, const char* key) const {
  const auto positions = model_->info().max_positions;
  const auto room = positions - max_new;
  const auto wanted = config_.data.max_prompt_length;
  if (room < 1)
    throw Error(config_.where(key) + ": " + std::to_string(max_new) + " new tokens do not fit into the " +
                std::to_string(positions) + " positions of " + model_directory_.string() +
                " (max_position_embeddings)");
  if (wanted > room)
    throw Error(config_.where("data.max_prompt_length") + ": a prompt of " + std::to_string(wanted) +
                " and a completion of " + std::to_string(max_new) + " tokens (" + key + ") do not fit into the " +
                std::to_string(positions) + " positions of " + model_directory_.string() +
                " (max_position_embeddings)");
  return wanted > 0 ? wanted : room;
}

}  // namespace grpo::train
