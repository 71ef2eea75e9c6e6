#include "grpo/sdk/train/model_directory.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "grpo/kit/safetensors.hpp"
#include "grpo/sdk/config/config.hpp"
#include "grpo/sdk/error.hpp"

namespace grpo::train {
namespace fs = std::filesystem;
namespace {

void flush_to_disk(const fs::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) throw Error(path.string() + ": cannot be opened to flush it: " + std::strerror(errno));
  const int failed = ::fsync(fd);
  const int why = errno;
  ::close(fd);
  if (failed) throw Error(path.string() + ": cannot be flushed to the disk: " + std::strerror(why));
}

kit::Dtype dtype_of_weight(const grpo_dltensor& t, const std::string& name) {
  if (t.type == GRPO_TYPE_FLOAT && t.bits == 32) return kit::Dtype::f32;
  if (t.type == GRPO_TYPE_FLOAT && t.bits == 16) return kit::Dtype::f16;
  if (t.type == GRPO_TYPE_BFLOAT && t.bits == 16) return kit::Dtype::bf16;
  throw Error("tensor '" + name + "': the model exports a type that a checkpoint cannot hold (only fp32, fp16, bf16)");
}

void check_exportable(const std::string& name, const grpo_tensor& t) {
  if (t.dl.device_type != GRPO_DEVICE_CPU && t.dl.device_type != GRPO_DEVICE_CUDA_HOST)
    throw Error("tensor '" + name + "': exported on a device; a model exports weights in host memory");
  if (!plugins::is_contiguous(t.dl)) throw Error("tensor '" + name + "': exported with gaps (strides)");
}

void write_weights(plugins::Model& model, const fs::path& file, const std::string& dtype, bool trained) {
  const auto wanted = dtype == "bfloat16" ? kit::Dtype::bf16 : kit::Dtype::f32;
  // The first pass learns names and shapes, the second writes: the file's header comes before its bytes.
  std::vector<kit::TensorSpec> specs;
  model.export_weights(
      [&](const std::string& name, const grpo_tensor& t) {
        check_exportable(name, t);
        dtype_of_weight(t.dl, name);  // one that can be read
        specs.push_back({name, wanted, std::vector<std::int64_t>(t.dl.shape, t.dl.shape + t.dl.ndim)});
      },
      trained);
  kit::SafetensorsWriter writer(file, specs);
  std::vector<float> wide;
  std::vector<std::uint16_t> narrow;
  model.export_weights(
      [&](const std::string& name, const grpo_tensor& t) {
        const auto own = dtype_of_weight(t.dl, name);
        const auto bytes = static_cast<std::size_t>(plugins::byte_count(t.dl));
        if (own == wanted) {
          writer.write(name, plugins::data_of(t), bytes);
          return;
        }
        const auto n = static_cast<std::size_t>(plugins::element_count(t.dl));
        const float* values = reinterpret_cast<const float*>(plugins::data_of(t));
        if (own != kit::Dtype::f32) {
          wide.resize(n);
          if (own == kit::Dtype::bf16)
            kit::bf16_to_float(plugins::data_of(t), wide.data(), n);
          else
            kit::f16_to_float(plugins::data_of(t), wide.data(), n);
          values = wide.data();
        }
        if (wanted == kit::Dtype::f32) {
          writer.write(name, values, n * sizeof values[0]);
        } else {
          narrow.resize(n);
          kit::float_to_bf16(values, narrow.data(), n);
          writer.write(name, narrow.data(), n * sizeof narrow[0]);
        }
      },
      trained);
  writer.finish();
}

// An empty dtype leaves it as it is.
// config.json of transformers 4 says torch_dtype, that of 5 dtype: what is there is set, else torch_dtype is added.
std::string with_dtype(const std::string& text, const fs::path& from, const std::string& dtype) {
  auto config = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!config.is_object()) throw Error(from.string() + ": not a JSON object");
  if (config.contains("dtype"))
    config["dtype"] = dtype;
  else
    config["torch_dtype"] = dtype;
  return config.dump(2) + "\n";
}

bool is_weights(const fs::path& file) {
  static const std::set<std::string> extensions = {".safetensors", ".bin", ".pt",      ".pth",
                                                   ".gguf",        ".h5",  ".msgpack", ".onnx"};
  return extensions.contains(file.extension().string()) ||
         file.filename().string().ends_with(".safetensors.index.json");
}

// What a checkpoint of ours holds beside the model; an adapter's configuration is written anew.
bool is_training_state(const fs::path& file) {
  return file.filename() == "trainer_state.json" || file.filename() == "run.yaml" ||
         file.filename() == kit::adapter_config_file;
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Error(path.string() + ": cannot be read: " + std::strerror(errno));
  return {std::istreambuf_iterator<char>(in), {}};
}

void copy_other_files(const fs::path& from, const fs::path& to, const std::string& dtype) {
  for (const auto& entry : fs::directory_iterator(from)) {
    const fs::path& file = entry.path();
    if (!entry.is_regular_file() || is_weights(file) || is_training_state(file)) continue;
    if (file.filename().string().starts_with('.')) continue;
    const std::string text = read_file(file);
    write_file(to / file.filename(),
               file.filename() == "config.json" && !dtype.empty() ? with_dtype(text, file, dtype) : text);
  }
}

}  // namespace

void write_file(const fs::path& path, const std::string& text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) throw Error(path.string() + ": cannot be written: " + std::strerror(errno));
  for (std::size_t at = 0; at < text.size();) {
    const auto n = ::write(fd, text.data() + at, text.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int why = errno;
      ::close(fd);
      throw Error(path.string() + ": writing failed: " + std::strerror(why));
    }
    at += static_cast<std::size_t>(n);
  }
  const int failed = ::fsync(fd);
  const int why = errno;
  ::close(fd);
  if (failed) throw Error(path.string() + ": cannot be flushed to the disk: " + std::strerror(why));
}

void write_model_directory(plugins::Model& model, const fs::path& from, const fs::path& to, const std::string& dtype,
                           const std::optional<kit::Adapter>& adapter) {
  std::error_code error;
  fs::create_directories(to, error);
  if (error) throw Error(to.string() + ": cannot be made: " + error.message());
  if (model.can(GRPO_MODEL_ADAPTED)) {
    if (!adapter) throw Error(model.component().label() + ": has adapters, and nobody said which");
    write_weights(model, to / kit::adapter_weights_file, "float32", /*trained=*/true);
    copy_other_files(from, to, "");
    write_file(to / kit::adapter_config_file, kit::adapter_config(*adapter));
  } else {
    write_weights(model, to / "model.safetensors", dtype, /*trained=*/false);
    copy_other_files(from, to, dtype);
  }
}

std::optional<kit::Adapter> adapter_of(const config::Config& config) {
  const auto as_error = [](const auto& body) {
    try {
      return body();
    } catch (const std::runtime_error& e) {
      throw Error(e.what());
    }
  };
  const auto& m = config.model;
  const bool asked = m.lora.json != "{}";
  std::optional<kit::Adapter> wanted, found = as_error([&] { return kit::read_adapter(m.path); });
  if (asked) wanted = as_error([&] { return kit::parse_adapter(m.lora.json, config.where("model.lora")); });
  if (found) {
    if (!found->base.is_absolute() && fs::is_directory(m.path / found->base)) found->base = m.path / found->base;
    if (wanted) found->dropout = wanted->dropout;
    wanted = found;
  } else if (wanted) {
    wanted->base = m.path;
  }
  if (wanted) wanted->base = fs::absolute(wanted->base).lexically_normal();
  return wanted;
}

namespace {

// Adds an adapter to the weights of its base model as they pass.
class Merger {
 public:
  explicit Merger(const fs::path& directory) : adapter_(kit::read_adapter(directory)) {
    if (!adapter_) return;
    file_.emplace(directory / kit::adapter_weights_file);
    if (!adapter_->base.is_absolute() && fs::is_directory(directory / adapter_->base))
      adapter_->base = directory / adapter_->base;
    if (adapter_->base.empty() || !fs::is_directory(adapter_->base))
      throw Error((directory / kit::adapter_config_file).string() + ": base_model_name_or_path is \"" +
                  adapter_->base.string() +
                  "\", and there is no such directory; write the base model's directory there");
  }

  fs::path base(const fs::path& directory) const { return adapter_ ? adapter_->base : directory; }

  void add(const std::string& name, std::vector<float>& weight, const std::vector<std::int64_t>& shape) {
    const std::string suffix = ".weight";
    if (!adapter_ || shape.size() != 2 || !name.ends_with(suffix)) return;
    const std::string matrix = name.substr(0, name.size() - suffix.size());
    const auto* a = file_->find(kit::adapter_tensor(matrix, 'A'));
    const auto* b = file_->find(kit::adapter_tensor(matrix, 'B'));
    if (!a && !b) return;
    if (!a || !b || a->shape != std::vector<std::int64_t>{adapter_->rank, shape[1]} ||
        b->shape != std::vector<std::int64_t>{shape[0], adapter_->rank})
      throw Error(file_->path().string() + ": the adapter of " + matrix + " does not fit a matrix of " +
                  kit::shape_text(shape) + " and rank " + std::to_string(adapter_->rank));
    kit::add_adapter(weight.data(), shape[0], shape[1], wide(*a).data(), wide(*b).data(), adapter_->rank,
                     adapter_->scale());
    merged_ += 2;
  }

  void check_all_merged() const {
    if (adapter_ && merged_ != file_->tensors().size())
      throw Error(file_->path().string() + ": only " + std::to_string(merged_) + " of its " +
                  std::to_string(file_->tensors().size()) + " tensors belong to matrices of " +
                  adapter_->base.string());
  }

 private:
  static std::vector<float> wide(const kit::TensorView& tensor) {
    std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
    kit::to_float(tensor, values.data());
    return values;
  }

  std::optional<kit::Adapter> adapter_;
  std::optional<kit::SafetensorsFile> file_;
  std::size_t merged_ = 0;
};

}  // namespace

void convert_model_directory(const fs::path& from, const fs::path& to, const std::string& dtype) {
  Merger merger(from);
  const kit::Checkpoint checkpoint(merger.base(from));
  const auto wanted = dtype == "bfloat16" ? kit::Dtype::bf16 : kit::Dtype::f32;
  std::vector<kit::TensorSpec> specs;
  for (const auto& name : checkpoint.names()) specs.push_back({name, wanted, checkpoint.at(name).shape});
  kit::SafetensorsWriter writer(to / "model.safetensors", specs);
  std::vector<float> wide;
  std::vector<std::uint16_t> narrow;
  for (const auto& spec : specs) {
    const auto& tensor = checkpoint.at(spec.name);
    wide.resize(static_cast<std::size_t>(tensor.elements()));
    kit::to_float(tensor, wide.data());
    merger.add(spec.name, wide, spec.shape);
    if (wanted == kit::Dtype::f32) {
      writer.write(spec.name, wide.data(), wide.size() * sizeof wide[0]);
    } else {
      narrow.resize(wide.size());
      kit::float_to_bf16(wide.data(), narrow.data(), wide.size());
      writer.write(spec.name, narrow.data(), narrow.size() * sizeof narrow[0]);
    }
  }
  merger.check_all_merged();
  writer.finish();
  if (merger.base(from) != from && !fs::exists(from / "config.json")) copy_other_files(merger.base(from), to, dtype);
  copy_other_files(from, to, dtype);
}

AtomicDirectory::AtomicDirectory(fs::path final_path) : final_(fs::absolute(final_path).lexically_normal()) {
  if (!final_.has_filename()) final_ = final_.parent_path();
  work_ = final_.parent_path() / (".tmp-" + final_.filename().string());
  std::error_code error;
  fs::remove_all(work_, error);  // what a killed process left
  fs::create_directories(work_, error);
  if (error) throw Error(work_.string() + ": cannot be made: " + error.message());
}

AtomicDirectory::~AtomicDirectory() {
  std::error_code ignored;
  if (!done_) fs::remove_all(work_, ignored);
}

void AtomicDirectory::commit() {
  flush_to_disk(work_, O_RDONLY | O_DIRECTORY);
  const fs::path old = final_.parent_path() / (".old-" + final_.filename().string());
  std::error_code error;
  fs::remove_all(old, error);
  // One step where the file system can swap two directories; otherwise a kill in between leaves the old one hidden.
  if (fs::exists(final_) && ::renameat2(AT_FDCWD, work_.c_str(), AT_FDCWD, final_.c_str(), RENAME_EXCHANGE) == 0) {
    done_ = true;
    flush_to_disk(final_.parent_path(), O_RDONLY | O_DIRECTORY);
    fs::remove_all(work_, error);
    return;
  }
  if (fs::exists(final_)) {
    fs::rename(final_, old, error);
    if (error) throw Error(final_.string() + ": cannot be replaced: " + error.message());
  }
  fs::rename(work_, final_, error);
  if (error) {
    std::error_code ignored;
    fs::rename(old, final_, ignored);
    throw Error(final_.string() + ": cannot be put in place: " + error.message());
  }
  done_ = true;
  flush_to_disk(final_.parent_path(), O_RDONLY | O_DIRECTORY);
  fs::remove_all(old, error);
}

}  // namespace grpo::train
