#include "torch_slices.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "torch_cuda.hpp"

namespace optimizers {
namespace {

using at::Tensor;

constexpr std::int64_t norm_chunk = 1 << 22;  // elements that are wide at a time
constexpr std::int64_t align = 16;            // elements between two states: a cache line

std::string title(const grpo_slice& s) { return std::string(s.name) + "@" + std::to_string(s.offset); }

at::ScalarType type_of(const std::string& what, const grpo_dltensor& t) {
  if (t.lanes == 1 && t.type == GRPO_TYPE_FLOAT && t.bits == 32) return at::kFloat;
  if (t.lanes == 1 && t.type == GRPO_TYPE_FLOAT && t.bits == 16) return at::kHalf;
  if (t.lanes == 1 && t.type == GRPO_TYPE_BFLOAT && t.bits == 16) return at::kBFloat16;
  throw grpo::failure(GRPO_STATUS_UNSUPPORTED, what + " is of DLPack type " + std::to_string(t.type) + " with " +
                                                   std::to_string(t.bits) +
                                                   " bits, and this optimizer steps fp32, bf16 and fp16");
}

at::Device device_of(const std::string& what, const grpo_tensor& t) {
  const auto& dl = t.dl;
  if (dl.device_type == GRPO_DEVICE_CPU || dl.device_type == GRPO_DEVICE_CUDA_HOST) return at::kCPU;
  if (dl.device_type != GRPO_DEVICE_CUDA)
    throw grpo::failure(GRPO_STATUS_UNSUPPORTED, what + " is on a device of DLPack type " +
                                                     std::to_string(dl.device_type) +
                                                     ", and this optimizer knows the CPU and CUDA");
  // LibTorch works on CUDA's legacy stream unless told otherwise; then what is ready there is ready for us.
  if (t.stream > 1)
    throw grpo::failure(GRPO_STATUS_UNSUPPORTED,
                        what + " is ready on a stream of its own, and this optimizer works on CUDA's legacy stream");
  if (const auto why = grpo::torch_cuda::open(); !why.empty())
    throw grpo::failure(GRPO_STATUS_UNSUPPORTED, what + " is on a CUDA device: " + why);
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(dl.device_id));
}

// The elements in a row, without a copy.
Tensor flat(const std::string& what, const grpo_tensor& t) {
  std::int64_t n = 1;
  for (int d = t.dl.ndim; d-- > 0;) {
    if (t.dl.strides && t.dl.shape[d] > 1 && t.dl.strides[d] != n)
      throw grpo::failure(GRPO_STATUS_UNSUPPORTED,
                          what + " has gaps or another order than row-major: make it contiguous");
    n *= t.dl.shape[d];
  }
  return at::from_blob(static_cast<char*>(t.dl.data) + t.dl.byte_offset, {n},
                       at::TensorOptions().device(device_of(what, t)).dtype(type_of(what, t.dl)));
}

torch_slice inspect(const grpo_slice& s) {
  const std::string what = title(s);
  if (!s.value || !s.gradient) throw grpo::failure(GRPO_STATUS_INVALID, what + " has no value or no gradient");
  torch_slice out{
      &s, flat("the value of " + title(s), *s.value), flat("the gradient of " + title(s), *s.gradient), {}, {}};
  if (out.value.numel() != out.gradient.numel())
    throw grpo::failure(GRPO_STATUS_INVALID, what + ": value and gradient differ in size");
  if (out.value.device() != out.gradient.device())
    throw grpo::failure(GRPO_STATUS_UNSUPPORTED, what + ": value and gradient are on different devices");
  if (out.gradient.scalar_type() != at::kFloat && out.gradient.scalar_type() != out.value.scalar_type())
    throw grpo::failure(GRPO_STATUS_UNSUPPORTED, what + ": the gradient is neither fp32 nor of the value's type");
  if (s.value->flags & GRPO_TENSOR_READ_ONLY) throw grpo::failure(GRPO_STATUS_INVALID, what + " is read-only");
  return out;
}

}  // namespace

Tensor torch_slices::add_state(const grpo_slice& of, Tensor own, const char* what) {
  tensor& t = tensors_.emplace_back();
  t.name = title(of) + "." + what;
  t.shape[0] = own.numel();
  t.own = own;
  t.host = copied_ ? at::empty({own.numel()}, at::kFloat) : own;  // takes memory when it is first written
  t.view.struct_size = sizeof t.view;
  t.view.dl = {t.host.numel() ? t.host.mutable_data_ptr() : nullptr,
               GRPO_DEVICE_CPU,
               0,
               1,
               GRPO_TYPE_FLOAT,
               32,
               1,
               t.shape,
               nullptr,
               0};
  t.named.struct_size = sizeof t.named;
  t.named.name = t.name.c_str();
  t.named.tensor = &t.view;
  named_.push_back(&t.named);
  return own;
}

void torch_slices::bind(grpo::span<const grpo_slice* const> list, const std::vector<const char*>& what) {
  if (bound_) throw grpo::failure(GRPO_STATUS_INVALID, "bind was called before");
  slices_.clear();  // of a bind that failed for lack of memory
  tensors_.clear();
  named_.clear();
  std::set<std::string> names;
  std::int64_t elements = 0, narrow_elements = 0;
  const auto space = [](std::int64_t size) { return (size + align - 1) / align * align; };
  for (const grpo_slice* given : list) {
    const auto& s = slices_.emplace_back(inspect(*given));
    if (!names.insert(title(*given)).second)
      throw grpo::failure(GRPO_STATUS_INVALID, title(*given) + " is there twice");
    if (s.value.device() != slices_.front().value.device())
      throw grpo::failure(GRPO_STATUS_UNSUPPORTED,
                          title(*given) + " is on another device than " + title(*slices_.front().of));
    elements += space(s.value.numel());
    if (s.value.scalar_type() != at::kFloat) narrow_elements += space(s.value.numel());
  }
  if (slices_.empty()) {
    bound_ = true;
    return;
  }
  const auto device = slices_.front().value.device();
  copied_ = copied_ || !device.is_cpu();
  const auto options = at::TensorOptions().device(device).dtype(at::kFloat);
  std::vector<Tensor> states;
  for (std::size_t k = 0; k < what.size(); ++k) states.push_back(at::zeros({elements}, options));
  const auto masters = at::zeros({narrow_elements}, options);
  std::int64_t at = 0, master_at = 0;
  for (auto& s : slices_) {
    const std::int64_t size = s.value.numel();
    for (std::size_t k = 0; k < what.size(); ++k)
      s.state.push_back(add_state(*s.of, states[k].narrow(0, at, size), what[k]));
    at += space(size);
    s.master = s.value;
    if (s.value.scalar_type() == at::kFloat) continue;
    s.master = add_state(*s.of, masters.narrow(0, master_at, size), "master").copy_(s.value);
    master_at += space(size);
  }
  bound_ = true;
}

double torch_slices::squared_norm() const {
  std::vector<Tensor> sums;
  for (const auto& s : slices_) {
    if (s.of->flags & GRPO_SLICE_DUPLICATE) continue;
    for (std::int64_t at = 0; at < s.gradient.numel(); at += norm_chunk) {
      const auto wide = s.gradient.narrow(0, at, std::min(norm_chunk, s.gradient.numel() - at)).to(at::kDouble);
      sums.push_back(at::dot(wide, wide));
    }
  }
  return sums.empty() ? 0 : at::stack(sums).sum().item<double>();
}

void torch_slices::check_gradients(double scale, double limit) const {
  std::vector<Tensor> gradients;
  for (const auto& s : slices_)
    if (s.gradient.numel()) gradients.push_back(s.gradient);
  if (gradients.empty()) return;
  const auto good = [&](double greatest) { return std::abs(greatest * scale) <= limit; };  // NaN is not
  const auto greatest = at::_foreach_norm(gradients, std::numeric_limits<double>::infinity());
  if (good(at::stack(greatest).max().item<double>())) return;
  for (const auto& s : slices_) {
    const auto bad = at::nonzero(at::logical_not(at::abs(s.gradient.to(at::kFloat) * scale) <= limit));
    if (bad.size(0) == 0) continue;
    const auto element = bad[0][0].item<std::int64_t>();
    const auto x = s.gradient[element].item<double>() * scale;
    throw grpo::failure(GRPO_STATUS_FAILED,
                        std::string("the gradient of ") + s.of->name + " is " + std::to_string(x) + " at element " +
                            std::to_string(s.of->offset + element) + (std::isfinite(x) ? ", too large to square" : "") +
                            ": nothing was changed; skip this step, or look for the loss that made it");
  }
}

void torch_slices::follow() {
  for (auto& s : slices_) {
    if (s.master.is_same(s.value)) continue;
    const auto same = s.master.to(s.value.scalar_type()) == s.value;
    s.master.copy_(at::where(same, s.master, s.value.to(at::kFloat)));
  }
}

void torch_slices::narrow() {
  for (auto& s : slices_)
    if (!s.master.is_same(s.value)) s.value.copy_(s.master);
}

grpo::span<const grpo_named_tensor* const> torch_slices::state() {
  if (copied_)
    for (auto& t : tensors_) t.host.copy_(t.own);
  return named_;
}

void torch_slices::state_written() {
  if (copied_)
    for (auto& t : tensors_) t.own.copy_(t.host);
}

}  // namespace optimizers
