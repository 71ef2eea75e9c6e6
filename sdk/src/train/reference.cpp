#include "grpo/sdk/train/reference.hpp"

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "grpo/kit/safetensors.hpp"
#include "grpo/sdk/error.hpp"

namespace grpo::train {
namespace {

constexpr const char* file_name = "reference.safetensors";

struct Tensor {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};
using Tensors = std::map<std::string, Tensor>;

// Any floating type that a model exports, as float32.
void append_float(const grpo_tensor& tensor, const std::string& name, std::vector<float>& to) {
  const grpo_dltensor& t = tensor.dl;
  const auto n = static_cast<std::size_t>(plugins::element_count(t));
  if (t.device_type != GRPO_DEVICE_CPU && t.device_type != GRPO_DEVICE_CUDA_HOST)
    throw Error("weight '" + name + "': exported on a device; a reference is renewed through host memory");
  if (!plugins::is_contiguous(t)) throw Error("weight '" + name + "' has gaps (strides)");
  to.resize(n);
  const char* data = plugins::data_of(tensor);
  if (t.type == GRPO_TYPE_FLOAT && t.bits == 32) {
    std::memcpy(to.data(), data, n * sizeof(float));
  } else if (t.type == GRPO_TYPE_BFLOAT && t.bits == 16) {
    kit::bf16_to_float(data, to.data(), n);
  } else {
    throw Error("weight '" + name + "': of a type that a reference is not renewed from; only float32 and bfloat16 are");
  }
}

Tensors values_of(plugins::Model& model) {
  Tensors all;
  model.export_weights([&](const std::string& name, const grpo_tensor& tensor) {
    Tensor& t = all[name];
    t.shape.assign(tensor.dl.shape, tensor.dl.shape + tensor.dl.ndim);
    append_float(tensor, name, t.values);
  });
  return all;
}

// Gives such tensors to a model that asks for them by name.
class Source final : public plugins::TensorSource {
 public:
  explicit Source(const Tensors& tensors) : tensors_(tensors) {}
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors_) names.push_back(name);
    return names;
  }
  const grpo_tensor* get(const std::string& name) override {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) return nullptr;
    shape_ = found->second.shape;
    tensor_ = {};
    tensor_.struct_size = sizeof tensor_;
    tensor_.flags = GRPO_TENSOR_READ_ONLY;
    tensor_.dl.data = const_cast<float*>(found->second.values.data());  // DLPack has no const; the flag says it
    tensor_.dl.device_type = GRPO_DEVICE_CPU;
    tensor_.dl.ndim = static_cast<std::int32_t>(shape_.size());
    tensor_.dl.type = GRPO_TYPE_FLOAT;
    tensor_.dl.bits = 32;
    tensor_.dl.lanes = 1;
    tensor_.dl.shape = shape_.data();
    return &tensor_;
  }

 private:
  const Tensors& tensors_;
  std::vector<std::int64_t> shape_;
  grpo_tensor tensor_{};
};

void set_values(plugins::Model& model, const Tensors& tensors, std::int64_t version) {
  Source source(tensors);
  model.import_weights(version, source);
}

}  // namespace

void check_can_renew(const plugins::Model& reference) {
  if (!reference.can(GRPO_MODEL_IMPORT))
    throw Error(reference.component().label() +
                ": this model takes no weights after it was opened, so reference.refresh_every_steps must be 0");
}

void renew_reference(plugins::Model& reference, plugins::Model& policy, double alpha, std::int64_t version) {
  Tensors values = values_of(policy);
  if (alpha < 1)
    reference.export_weights([&](const std::string& name, const grpo_tensor& tensor) {
      const auto found = values.find(name);
      std::vector<float> old;
      append_float(tensor, name, old);
      if (found == values.end() || found->second.values.size() != old.size())
        throw Error("the reference cannot be renewed: its weight '" + name +
                    "' has no equal in the trained model; give it the same architecture (reference.path)");
      auto& now = found->second.values;
      for (std::size_t i = 0; i < old.size(); ++i)
        now[i] = static_cast<float>(alpha * static_cast<double>(now[i]) + (1 - alpha) * static_cast<double>(old[i]));
    });
  set_values(reference, values, version);
}

void save_reference(plugins::Model& reference, const std::filesystem::path& directory) {
  std::vector<kit::TensorSpec> specs;
  reference.export_weights([&](const std::string& name, const grpo_tensor& t) {
    specs.push_back({name, kit::Dtype::f32, {t.dl.shape, t.dl.shape + t.dl.ndim}});
  });
  kit::SafetensorsWriter writer(directory / file_name, std::move(specs));
  std::vector<float> values;
  reference.export_weights([&](const std::string& name, const grpo_tensor& t) {
    append_float(t, name, values);
    writer.write(name, reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  });
  writer.finish();
}

bool restore_reference(plugins::Model& reference, const std::filesystem::path& checkpoint, std::int64_t version) {
  if (!std::filesystem::exists(checkpoint / file_name)) return false;
  const kit::SafetensorsFile file(checkpoint / file_name);
  Tensors values;
  for (const auto& t : file.tensors()) {
    Tensor& to = values[std::string(t.name)];
    to.shape = t.shape;
    to.values.resize(t.bytes / sizeof(float));
    std::memcpy(to.values.data(), t.data, to.values.size() * sizeof(float));
  }
  set_values(reference, values, version);
  return true;
}

}  // namespace grpo::train
