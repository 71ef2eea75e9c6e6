#include "weights.hpp"

#include <grpo/random.h>

#include <cmath>
#include <cstring>
#include <grpo/kit/safetensors.hpp>
#include <numbers>

#include "errors.hpp"
#include "memory.hpp"

namespace grpo::transformer {
namespace {

std::string describe(const grpo_dltensor& t) {
  static const char* const kinds[] = {"int", "uint", "float", "opaque", "bfloat", "complex", "bool"};
  return std::string(t.type < 7 ? kinds[t.type] : "type") + std::to_string(t.bits) + " " +
         kit::shape_text({t.shape, t.shape + t.ndim});
}

// What import can read: a dense tensor of this shape in host memory, in fp32, bf16 or fp16.
void check_source(const grpo_tensor* t, const Parameter& p) {
  if (!t) throw Refusal(GRPO_STATUS_INVALID, "the source has no tensor \"" + p.name + "\"");
  const auto& dl = t->dl;
  const bool shape = std::vector<std::int64_t>(dl.shape, dl.shape + dl.ndim) == p.shape;
  const bool type = dl.lanes == 1 && ((dl.type == GRPO_TYPE_FLOAT && (dl.bits == 32 || dl.bits == 16)) ||
                                      (dl.type == GRPO_TYPE_BFLOAT && dl.bits == 16));
  bool dense = true;
  if (dl.strides) {
    std::int64_t step = 1;
    for (int i = dl.ndim - 1; i >= 0; --i) {
      dense = dense && (dl.shape[i] == 1 || dl.strides[i] == step);
      step *= dl.shape[i];
    }
  }
  if (!shape || !type || !dense || dl.device_type == GRPO_DEVICE_CUDA)
    throw Refusal(GRPO_STATUS_INVALID, "tensor \"" + p.name + "\" comes as " + describe(dl) +
                                           (dense ? "" : " with strides") + "; expected fp32, bf16 or fp16 " +
                                           kit::shape_text(p.shape) + " without gaps in host memory");
}

void widen(const grpo_tensor* t, std::int64_t n, float* to) {
  const auto* from = static_cast<const char*>(t->dl.data) + t->dl.byte_offset;
  const auto count = static_cast<std::size_t>(n);
  if (t->dl.type == GRPO_TYPE_BFLOAT) return kit::bf16_to_float(from, to, count);
  if (t->dl.bits == 16) return kit::f16_to_float(from, to, count);
  std::memcpy(to, from, count * sizeof(float));
}

}  // namespace

Weights::Weights(Layout layout, at::Device device, at::ScalarType compute, bool trainable)
    : layout_(std::move(layout)) {
  const auto options = at::TensorOptions().device(device).dtype(at::kFloat);
  value_ = fresh_zeros(layout_.elements, options);
  if (trainable) gradient_ = fresh_zeros(layout_.elements, options);
  compute_ = compute == at::kFloat ? value_ : fresh_zeros(layout_.elements, options.dtype(compute));
}

void Weights::load(const std::filesystem::path& directory) {
  const kit::Checkpoint checkpoint(directory);
  for (const auto& p : layout_.parameters) {
    const auto& t = checkpoint.at(p.name);
    const auto file = checkpoint.file_of(p.name).string();
    if (t.shape != p.shape)
      throw std::runtime_error(file + ": tensor \"" + p.name + "\" has shape " + kit::shape_text(t.shape) +
                               "; config.json asks for " + kit::shape_text(p.shape));
    if (t.dtype != kit::Dtype::f32 && t.dtype != kit::Dtype::bf16 && t.dtype != kit::Dtype::f16)
      throw std::runtime_error(file + ": tensor \"" + p.name + "\" has type " + std::string(kit::dtype_name(t.dtype)) +
                               "; expected F32, BF16 or F16");
  }
  const at::Tensor host = device().is_cpu() ? value_ : at::zeros({layout_.elements}, at::kFloat);
  auto* to = host.mutable_data_ptr<float>();
  for (const auto& p : layout_.parameters) kit::to_float(checkpoint.at(p.name), to + p.offset);
  if (!device().is_cpu()) value_.copy_(host);
  refresh();
}

void Weights::randomize(std::uint64_t seed, double deviation) {
  const at::Tensor host = device().is_cpu() ? value_ : at::zeros({layout_.elements}, at::kFloat);
  auto* values = host.mutable_data_ptr<float>();
  std::uint64_t index = 0;
  for (const auto& p : layout_.parameters) {
    const std::uint64_t key = grpo_random_key(seed, index++);
    float* to = values + p.offset;
    if (p.kind == Parameter::Kind::norm) std::fill(to, to + p.size(), 1.0f);
    if (p.kind != Parameter::Kind::matrix) continue;
    at::parallel_for(0, (p.size() + 1) / 2, 4096, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {  // Box and Muller, two at a time
        const auto at = static_cast<std::uint64_t>(2 * i);
        const double radius = deviation * std::sqrt(-2 * std::log(grpo_random_uniform(key, at)));
        const double angle = 2 * std::numbers::pi * grpo_random_uniform(key, at + 1);
        to[2 * i] = static_cast<float>(radius * std::cos(angle));
        if (2 * i + 1 < p.size()) to[2 * i + 1] = static_cast<float>(radius * std::sin(angle));
      }
    });
  }
  if (!device().is_cpu()) value_.copy_(host);
  refresh();
}

void Weights::refresh() {
  if (compute_.scalar_type() != at::kFloat) compute_.copy_(value_);
}

void Weights::export_to(const grpo_call* call, const grpo_tensor_sink* sink) const {
  // A copy for each parameter, unless the receiver reads the device: no more than one at a time.
  const bool direct = device().is_cpu() || (sink->flags & GRPO_SINK_DEVICE), cuda = direct && device().is_cuda();
  for (const auto& p : layout_.parameters) {
    auto shape = p.shape;
    grpo_tensor tensor{};
    tensor.struct_size = sizeof tensor;
    tensor.flags = GRPO_TENSOR_READ_ONLY;
    const auto host = direct ? at::Tensor() : value_.narrow(0, p.offset, p.size()).cpu();
    tensor.dl = {direct ? value_data() + p.offset : host.mutable_data_ptr<float>(),
                 cuda ? GRPO_DEVICE_CUDA : GRPO_DEVICE_CPU,
                 cuda ? device().index() : 0,
                 static_cast<std::int32_t>(shape.size()),
                 GRPO_TYPE_FLOAT,
                 32,
                 1,
                 shape.data(),
                 nullptr,
                 0};
    tensor.stream = cuda ? 1 : 0;
    const grpo_named_tensor named{sizeof named, 0, p.name.c_str(), &tensor};
    const grpo_named_tensor* const list[] = {&named};
    if (const auto status = sink->put(sink, call, 1, list); status != GRPO_STATUS_OK)
      throw Refusal(status, "the sink refused \"" + p.name + "\"");
  }
}

void Weights::import_from(const grpo_call* call, const grpo_tensor_source* source) {
  const auto given = [&](const Parameter& p) {
    const grpo_tensor* tensor = nullptr;
    if (const auto status = source->get(source, call, p.name.c_str(), &tensor); status != GRPO_STATUS_OK)
      throw Refusal(status, "the source could not give \"" + p.name + "\"");
    return tensor;
  };
  // All of them are looked at before any is written: on failure nothing has changed.
  for (const auto& p : layout_.parameters) check_source(given(p), p);
  const at::Tensor host = at::zeros({layout_.elements}, at::kFloat);
  auto* to = host.mutable_data_ptr<float>();
  for (const auto& p : layout_.parameters) {
    const grpo_tensor* t = given(p);
    check_source(t, p);
    widen(t, p.size(), to + p.offset);
  }
  value_.copy_(host);
  refresh();
}

}  // namespace grpo::transformer
