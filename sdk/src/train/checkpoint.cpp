#include "grpo/sdk/train/checkpoint.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "grpo/kit/safetensors.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/report/console.hpp"
#include "grpo/sdk/train/model_directory.hpp"

namespace grpo::train {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view prefix = "checkpoint-", recover_prefix = "recover-";
// Full-precision parameters lie beside the optimizer's state under names that no optimizer uses.
const std::string value_prefix = "parameter:";

std::optional<std::int64_t> step_of(const fs::path& path, std::string_view prefix) {
  const std::string name = path.filename().string();
  if (!name.starts_with(prefix)) return std::nullopt;
  std::int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto [at, error] = std::from_chars(name.data() + prefix.size(), end, step);
  return error == std::errc{} && at == end ? std::optional(step) : std::nullopt;
}

std::vector<std::pair<std::int64_t, fs::path>> checkpoints_in(const fs::path& output_dir,
                                                              std::string_view prefix = train::prefix) {
  std::vector<std::pair<std::int64_t, fs::path>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(output_dir, error))
    if (const auto step = step_of(entry.path(), prefix); step && entry.is_directory())
      found.emplace_back(*step, entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

kit::Dtype dtype_of_state(const grpo_dltensor& t, const std::string& name) {
  const auto is = [&](int type, int bits) { return t.type == type && t.bits == bits; };
  if (is(GRPO_TYPE_FLOAT, 32)) return kit::Dtype::f32;
  if (is(GRPO_TYPE_FLOAT, 64)) return kit::Dtype::f64;
  if (is(GRPO_TYPE_FLOAT, 16)) return kit::Dtype::f16;
  if (is(GRPO_TYPE_BFLOAT, 16)) return kit::Dtype::bf16;
  if (is(GRPO_TYPE_INT, 64)) return kit::Dtype::i64;
  if (is(GRPO_TYPE_INT, 32)) return kit::Dtype::i32;
  if (is(GRPO_TYPE_UINT, 8)) return kit::Dtype::u8;
  throw Error("optimizer state '" + name + "': its type cannot be saved");
}

bool in_host_memory(const grpo_dltensor& t) {
  return t.device_type == GRPO_DEVICE_CPU || t.device_type == GRPO_DEVICE_CUDA_HOST;
}

void require_host(const grpo_dltensor& t, const std::string& name) {
  if (!in_host_memory(t))
    throw Error("'" + name +
                "' lies on a device, and an optimizer gives its state in host memory; choose another optimizer, or set "
                "checkpoint.optimizer_state: false");
  if (!plugins::is_contiguous(t)) throw Error("'" + name + "' has gaps (strides): it cannot be saved");
}

// Everything but the weights that the next step depends on: the optimizer's state and, beside a checkpoint of fewer
// bits, the parameters' values as the model exports them, which copies them from its device.
struct Saving {
  plugins::Model& model;
  plugins::Optimizer& optimizer;
  bool values;
};

using Write = std::function<void(const std::string& name, const grpo_tensor& tensor)>;

void for_all(const Saving& s, const Write& take) {
  for (const auto* named : s.optimizer.state()) take(named->name, *named->tensor);
  if (s.values)
    s.model.export_weights(
        [&](const std::string& name, const grpo_tensor& tensor) { take(value_prefix + name, tensor); });
}

// Adapters are saved in full precision anyway.
bool values_apart(const CheckpointOptions& options) { return options.dtype != "float32" && !options.adapter; }

std::vector<kit::TensorSpec> specs_of(const Saving& s) {
  std::vector<kit::TensorSpec> specs;
  for_all(s, [&](const std::string& name, const grpo_tensor& t) {
    require_host(t.dl, name);
    specs.push_back({name, dtype_of_state(t.dl, name), {t.dl.shape, t.dl.shape + t.dl.ndim}});
  });
  return specs;
}

void write_optimizer(const fs::path& path, const Saving& s) {
  kit::SafetensorsWriter writer(path, specs_of(s));
  for_all(s, [&](const std::string& name, const grpo_tensor& t) {
    writer.write(name, plugins::data_of(t), static_cast<std::size_t>(plugins::byte_count(t.dl)));
  });
  writer.finish();
}

// The parameters' values that such a file holds, by the parameters' names.
class SavedValues final : public plugins::TensorSource {
 public:
  explicit SavedValues(const kit::SafetensorsFile& file) : file_(file) {}
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& t : file_.tensors())
      if (t.name.starts_with(value_prefix)) names.push_back(t.name.substr(value_prefix.size()));
    return names;
  }
  const grpo_tensor* get(const std::string& name) override {
    const auto* t = file_.find(value_prefix + name);
    if (!t) return nullptr;
    shape_ = t->shape;
    const auto [type, bits] = t->dtype == kit::Dtype::f32    ? std::pair{GRPO_TYPE_FLOAT, 32}
                              : t->dtype == kit::Dtype::bf16 ? std::pair{GRPO_TYPE_BFLOAT, 16}
                              : t->dtype == kit::Dtype::f16
                                  ? std::pair{GRPO_TYPE_FLOAT, 16}
                                  : throw Error(file_.path().string() + ": tensor '" + std::string(t->name) +
                                                "' is of a type that no parameter has");
    tensor_ = {};
    tensor_.struct_size = sizeof tensor_;
    tensor_.flags = GRPO_TENSOR_READ_ONLY;
    data_.assign(t->data, t->data + t->bytes);  // in the file it is not aligned
    tensor_.dl.data = data_.data();
    tensor_.dl.device_type = GRPO_DEVICE_CPU;
    tensor_.dl.ndim = static_cast<std::int32_t>(shape_.size());
    tensor_.dl.type = static_cast<std::uint8_t>(type);
    tensor_.dl.bits = static_cast<std::uint8_t>(bits);
    tensor_.dl.lanes = 1;
    tensor_.dl.shape = shape_.data();
    return &tensor_;
  }

 private:
  const kit::SafetensorsFile& file_;
  std::vector<std::int64_t> shape_;
  std::vector<std::byte> data_;
  grpo_tensor tensor_{};
};

void read_into(const kit::SafetensorsFile& file, const std::string& name, const grpo_tensor& to) {
  require_host(to.dl, name);
  const auto& from = file.at(name);
  if (from.dtype != dtype_of_state(to.dl, name) || from.bytes != static_cast<std::size_t>(plugins::byte_count(to.dl)))
    throw Error(file.path().string() + ": tensor '" + name + "' has " + std::to_string(from.elements()) +
                " elements of " + std::string(kit::dtype_name(from.dtype)) + ", the optimizer wants " +
                std::to_string(plugins::element_count(to.dl)) +
                "; was the checkpoint made with another optimizer or model?");
  std::memcpy(plugins::data_of(to), from.data, from.bytes);
}

void remove_checkpoint(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) report::log(report::Level::warning, path.string() + ": cannot be removed: " + error.message());
}

void prune(const CheckpointOptions& options, std::int64_t newest) {
  for (const auto& [step, path] : checkpoints_in(options.output_dir, recover_prefix))
    if (!options.recover || step != newest) remove_checkpoint(path);
  if (options.keep == 0 || options.recover) return;
  auto all = checkpoints_in(options.output_dir);
  std::erase_if(all, [newest](const auto& c) { return c.first > newest; });  // not of this run
  while (static_cast<std::int64_t>(all.size()) > options.keep) {
    remove_checkpoint(all.front().second);
    all.erase(all.begin());
  }
}

// What is read from there is an index into the data, and the end of loops.
std::int64_t count_of(const nlohmann::json& json, const char* key) {
  constexpr double most = 1e15;
  const auto& value = json.at(key);
  if (!value.is_number_integer() || value.get<double>() < 0 || value.get<double>() > most)
    throw Error(std::string(key) + " is " + value.dump() + ", which is no count");
  return value.get<std::int64_t>();
}

}  // namespace

fs::path save_checkpoint(const CheckpointOptions& options, const TrainerState& state, plugins::Model& model,
                         plugins::Optimizer& optimizer) {
  const fs::path path =
      options.output_dir / (std::string(options.recover ? recover_prefix : prefix) + std::to_string(state.step));
  AtomicDirectory directory(path);
  write_model_directory(model, options.model_directory, directory.path(), options.dtype, options.adapter);
  if (options.optimizer_state)
    write_optimizer(directory.path() / "optimizer.safetensors", {model, optimizer, values_apart(options)});
  if (options.further) options.further(directory.path());
  nlohmann::ordered_json json = {{"stage", state.stage},
                                 {"global_step", state.step},
                                 {"optimizer_steps", state.optimizer_steps},
                                 {"position", state.position},
                                 {"num_tokens", state.num_tokens},
                                 {"completion_length", state.completion_length},
                                 {"seconds", state.seconds},
                                 {"resumable", options.optimizer_state},
                                 {"fixed", state.fixed}};
  if (state.kl_coefficient) json["kl_coefficient"] = *state.kl_coefficient;
  if (const auto& bonus = state.entropy_bonus) {
    json["entropy_coefficient"] = bonus->coefficient;
    if (std::isfinite(bonus->last_entropy)) json["last_entropy"] = bonus->last_entropy;
  }
  write_file(directory.path() / "trainer_state.json", json.dump(2) + "\n");
  write_file(directory.path() / "run.yaml", options.run_yaml);
  directory.commit();
  prune(options, state.step);
  return path;
}

void check_can_save(const CheckpointOptions& options, plugins::Model& model, plugins::Optimizer& optimizer) {
  if (!options.optimizer_state) return;
  specs_of({model, optimizer, values_apart(options)});
}

void remove_unfinished_checkpoints(const fs::path& output_dir) {
  std::error_code error;
  std::vector<fs::path> stale;
  for (const auto& entry : fs::directory_iterator(output_dir, error)) {
    const std::string name = entry.path().filename().string();
    for (const auto kind : {prefix, recover_prefix})
      if (name.starts_with(".tmp-" + std::string(kind)) || name.starts_with(".old-" + std::string(kind)))
        stale.push_back(entry.path());
  }
  for (const fs::path& path : stale) fs::remove_all(path, error);
}

static void add_files_about_the_run(const fs::path& output_dir, std::vector<fs::path>& files) {
  for (const char* name : {"run.json", "run.yaml", "samples.jsonl", "report.html"})
    if (fs::exists(output_dir / name)) files.push_back(output_dir / name);
  for (const auto& entry : fs::directory_iterator(output_dir))
    if (entry.path().filename().string().starts_with("events.out.tfevents.")) files.push_back(entry.path());
}

std::optional<fs::path> set_earlier_run_aside(const fs::path& output_dir) {
  std::vector<fs::path> files;
  for (const auto kind : {prefix, recover_prefix})
    for (const auto& [step, path] : checkpoints_in(output_dir, kind)) files.push_back(path);
  if (fs::exists(output_dir / "metrics.jsonl")) files.push_back(output_dir / "metrics.jsonl");
  if (fs::exists(output_dir / "eval")) files.push_back(output_dir / "eval");
  if (!files.empty()) add_files_about_the_run(output_dir, files);
  if (files.empty()) return std::nullopt;
  fs::path aside;
  for (int n = 1; fs::exists(aside = output_dir / ("earlier-" + std::to_string(n))); ++n) {
  }
  std::error_code error;
  fs::create_directory(aside, error);
  for (const fs::path& file : files)
    if (!error) fs::rename(file, aside / file.filename(), error);
  if (error) throw Error(aside.string() + ": the earlier run cannot be moved there: " + error.message());
  return aside;
}

std::optional<fs::path> find_checkpoint(const fs::path& output_dir) {
  const auto lasting = checkpoints_in(output_dir), recover = checkpoints_in(output_dir, recover_prefix);
  if (!recover.empty() && (lasting.empty() || recover.back().first > lasting.back().first))
    return recover.back().second;
  return lasting.empty() ? std::nullopt : std::optional(lasting.back().second);
}

TrainerState read_trainer_state(const fs::path& checkpoint, const TrainerState& now) {
  const fs::path path = checkpoint / "trainer_state.json";
  std::ifstream in(path);
  const auto json = nlohmann::json::parse(in, nullptr, false);
  if (!json.is_object())
    throw Error(path.string() + ": missing or not JSON, so this is no checkpoint to resume from; remove " +
                checkpoint.string() + " or set run.resume: never");
  const std::string damaged = path.string() + ": is damaged: ";
  TrainerState state;
  bool resumable = false;
  try {
    state.stage = json.at("stage");
    state.step = count_of(json, "global_step");
    state.optimizer_steps = count_of(json, "optimizer_steps");
    state.position = count_of(json, "position");
    state.num_tokens = count_of(json, "num_tokens");
    state.completion_length = json.value("completion_length", 0.0);
    if (!(state.completion_length >= 0 && state.completion_length < 1e9))
      throw Error("completion_length is " + json.at("completion_length").dump() + ", which no length is");
    if (const auto named = step_of(checkpoint, prefix); named && *named != state.step)
      throw Error("global_step is " + std::to_string(state.step) + ", which is not what the directory is called");
    if (json.contains("kl_coefficient")) {
      state.kl_coefficient = json.at("kl_coefficient").get<double>();
      if (!(*state.kl_coefficient >= 0 && *state.kl_coefficient < 1e9))
        throw Error("kl_coefficient is " + json.at("kl_coefficient").dump() + ", which no weight is");
    }
    if (json.contains("entropy_coefficient")) {
      state.entropy_bonus = {.coefficient = json.at("entropy_coefficient").get<double>()};
      if (json.contains("last_entropy")) state.entropy_bonus->last_entropy = json.at("last_entropy").get<double>();
      if (!std::isfinite(state.entropy_bonus->coefficient))
        throw Error("entropy_coefficient is " + json.at("entropy_coefficient").dump() + ", which no weight is");
    }
    state.seconds = json.value("seconds", 0.0);
    state.fixed = json.at("fixed").get<std::map<std::string, std::string>>();
    resumable = json.at("resumable");
  } catch (const nlohmann::json::exception& e) {
    throw Error(damaged + e.what());
  } catch (const Error& e) {
    throw Error(damaged + e.what());
  }
  if (!resumable)
    throw Error(checkpoint.string() +
                ": saved without the optimizer's state (checkpoint.optimizer_state: false), so it cannot be "
                "resumed; start a new run with model.path set to it");
  if (state.stage != now.stage)
    throw Error(checkpoint.string() + ": a checkpoint of `" + state.stage + "`, this is `" + now.stage +
                "`; give this run an output_dir of its own");
  std::string changed;
  for (const auto& [key, value] : now.fixed)
    if (const auto old = state.fixed.find(key); old != state.fixed.end() && old->second != value)
      changed += (changed.empty() ? "" : ", ") + key + " was " + old->second + " and is now " + value;
  if (!changed.empty())
    throw Error("cannot resume " + checkpoint.string() + ": " + changed +
                "; set it back, or start a new run (run.resume: never, another run.output_dir)");
  return state;
}

void restore_optimizer(const fs::path& checkpoint, plugins::Model& model, plugins::Optimizer& optimizer,
                       std::int64_t version) {
  const kit::SafetensorsFile file(checkpoint / "optimizer.safetensors");
  for (const auto* named : optimizer.state()) read_into(file, named->name, *named->tensor);
  SavedValues values(file);
  const bool saved = !values.names().empty();
  if (saved && model.can(GRPO_MODEL_IMPORT)) {
    model.import_weights(version, values);
  } else if (saved) {  // then they are written where they are, in host memory
    for (const auto* p : model.parameters())
      if (file.find(value_prefix + p->name)) read_into(file, value_prefix + p->name, *p->value);
  }
  if (!saved || !model.can(GRPO_MODEL_IMPORT)) model.commit(version);  // import is one
  optimizer.state_written();
}

}  // namespace grpo::train
