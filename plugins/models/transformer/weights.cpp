#include "weights.hpp"

#include <ATen/Parallel.h>
#include <grpo/random.h>

#include <algorithm>
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

bool is_adapter(const Parameter& p) {
  return p.kind == Parameter::Kind::adapter_a || p.kind == Parameter::Kind::adapter_b;
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
  if (trainable) gradient_ = fresh_zeros(layout_.elements - layout_.trained, options);
  if (trainable && layout_.trained > 0) {
    std::int64_t longest = 0;
    for (const auto& p : layout_.parameters)
      if (p.kind == Parameter::Kind::norm) longest = std::max(longest, p.size());
    unread_ = at::zeros({longest}, options);
  }
  compute_ = compute == at::kFloat ? value_ : fresh_zeros(layout_.elements, options.dtype(compute));
}

namespace {

// The parameters of a range of the layout, from files.
struct Found {
  const kit::TensorView& tensor;
  std::string file;
};

void check_file(const Parameter& p, const Found& found, const char* asked_by) {
  const auto& t = found.tensor;
  if (t.shape != p.shape)
    throw std::runtime_error(found.file + ": tensor \"" + p.name + "\" has shape " + kit::shape_text(t.shape) + "; " +
                             asked_by + " asks for " + kit::shape_text(p.shape));
  if (t.dtype != kit::Dtype::f32 && t.dtype != kit::Dtype::bf16 && t.dtype != kit::Dtype::f16)
    throw std::runtime_error(found.file + ": tensor \"" + p.name + "\" has type " +
                             std::string(kit::dtype_name(t.dtype)) + "; expected F32, BF16 or F16");
}

template <typename Find>
void read_into(const at::Tensor& value, const Layout& layout, bool adapters, const char* asked_by, const Find& find) {
  const auto wanted = [&](const Parameter& p) { return is_adapter(p) == adapters; };
  for (const auto& p : layout.parameters)
    if (wanted(p)) check_file(p, find(p.name), asked_by);
  const std::int64_t begin = adapters ? layout.trained : 0;
  const std::int64_t end = adapters || layout.rank == 0 ? layout.elements : layout.trained;
  const auto part = value.narrow(0, begin, end - begin);
  const at::Tensor host = value.device().is_cpu() ? part : at::zeros({end - begin}, at::kFloat);
  auto* to = host.mutable_data_ptr<float>();
  for (const auto& p : layout.parameters)
    if (wanted(p)) kit::to_float(find(p.name).tensor, to + (p.offset - begin));
  if (!value.device().is_cpu()) part.copy_(host);
}

}  // namespace

void Weights::load(const std::filesystem::path& directory) {
  const kit::Checkpoint checkpoint(directory);
  read_into(value_, layout_, false, "config.json", [&](const std::string& name) {
    return Found{checkpoint.at(name), checkpoint.file_of(name).string()};
  });
  refresh();
}

void Weights::load_adapter(const std::filesystem::path& directory) {
  const kit::SafetensorsFile file(directory / kit::adapter_weights_file);
  read_into(value_, layout_, true, kit::adapter_config_file, [&](const std::string& name) {
    return Found{file.at(name), file.path().string()};
  });
  for (const auto& t : file.tensors())
    if (std::none_of(layout_.parameters.begin(), layout_.parameters.end(),
                     [&t](const Parameter& p) { return p.name == t.name; }))
      throw std::runtime_error(file.path().string() + ": tensor \"" + t.name + "\" has no place in this model; " +
                               kit::adapter_config_file + " names other matrices, or another kind of adapter");
  refresh();
}

void Weights::initialize_adapter(std::uint64_t seed) {
  const auto part = value_.narrow(0, layout_.trained, layout_.elements - layout_.trained);
  const at::Tensor host = at::zeros({part.numel()}, at::kFloat);
  std::uint64_t index = 0;
  for (const auto& p : layout_.parameters) {
    const std::uint64_t key = grpo_random_key(seed, index++);
    if (p.kind != Parameter::Kind::adapter_a) continue;
    float* to = host.mutable_data_ptr<float>() + (p.offset - layout_.trained);
    const double bound = 1 / std::sqrt(static_cast<double>(p.shape[1]));
    for (std::int64_t i = 0; i < p.size(); ++i)
      to[i] = static_cast<float>(bound * (2 * grpo_random_uniform(key, static_cast<std::uint64_t>(i)) - 1));
  }
  part.copy_(host);
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

at::Tensor Weights::merged(const Range& r) const {
  const auto own = value_.narrow(0, r.offset, r.size()).view({r.rows, r.columns});
  const auto* adapter = layout_.adapter_of(r);
  if (!adapter) return own;
  auto sum = own.clone();
  const auto a = value_.narrow(0, adapter->a.offset, adapter->a.size()).view({-1, layout_.rank, r.columns});
  for (std::size_t i = 0; i < adapter->parts.size(); ++i) {
    const auto& part = adapter->parts[i];
    const auto b = value_.narrow(0, part.b.offset, part.b.size()).view({part.b.rows, layout_.rank});
    sum.narrow(0, part.row, part.b.rows).addmm_(b, a[static_cast<std::int64_t>(i)], 1, layout_.scale);
  }
  return sum;
}

// The same of a parameter, which may be a part of a matrix.
at::Tensor Weights::merged(const Parameter& p) const {
  const auto own = value_.narrow(0, p.offset, p.size());
  auto at = layout_.adapters.upper_bound(p.offset);
  if (p.kind != Parameter::Kind::matrix || at == layout_.adapters.begin()) return own;
  const auto& [offset, adapter] = *--at;
  const std::int64_t row = (p.offset - offset) / adapter.a.columns;
  for (std::size_t i = 0; i < adapter.parts.size(); ++i) {
    const auto& part = adapter.parts[i];
    if (part.row != row) continue;
    const auto a = value_.narrow(0, adapter.a.offset, adapter.a.size()).view({-1, layout_.rank, adapter.a.columns});
    const auto b = value_.narrow(0, part.b.offset, part.b.size()).view({part.b.rows, layout_.rank});
    return at::addmm(own.view({part.b.rows, adapter.a.columns}), b, a[static_cast<std::int64_t>(i)], 1, layout_.scale)
        .view({-1});
  }
  return own;
}

void Weights::export_to(const grpo_call* call, const grpo_tensor_sink* sink) const {
  // A copy for each parameter, unless the receiver reads the device: no more than one at a time.
  const bool direct = device().is_cpu() || (sink->flags & GRPO_SINK_DEVICE), cuda = direct && device().is_cuda();
  const bool trained_alone = sink->flags & GRPO_SINK_TRAINED;
  for (const auto& p : layout_.parameters) {
    if (layout_.rank > 0 && is_adapter(p) != trained_alone) continue;
    auto shape = p.shape;
    grpo_tensor tensor{};
    tensor.struct_size = sizeof tensor;
    tensor.flags = GRPO_TENSOR_READ_ONLY;
    const auto values = merged(p), here = direct ? values : values.cpu();
    tensor.dl = {here.mutable_data_ptr<float>(),
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
  // What is trained, where the source has it; else whole weights, to which adapters add nothing yet.
  const auto first = std::find_if(layout_.parameters.begin(), layout_.parameters.end(), is_adapter);
  const bool adapters = first != layout_.parameters.end() && given(*first);
  const auto wanted = [&](const Parameter& p) { return is_adapter(p) == adapters; };
  // All of them are looked at before any is written: on failure nothing has changed.
  for (const auto& p : layout_.parameters)
    if (wanted(p)) check_source(given(p), p);
  const at::Tensor host = value_.device().is_cpu() ? value_.clone() : value_.cpu();
  auto* to = host.mutable_data_ptr<float>();
  for (const auto& p : layout_.parameters) {
    if (p.kind == Parameter::Kind::adapter_b && !adapters) std::fill_n(to + p.offset, p.size(), 0.0f);
    if (!wanted(p)) continue;
    const grpo_tensor* t = given(p);
    check_source(t, p);
    widen(t, p.size(), to + p.offset);
  }
  value_.copy_(host);
  refresh();
}

}  // namespace grpo::transformer
