#include "slices.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <set>

namespace optimizers {
namespace {

std::string type_name(const grpo_dltensor& t) {
  std::string type = t.type == GRPO_TYPE_FLOAT    ? "fp"
                     : t.type == GRPO_TYPE_BFLOAT ? "bf"
                     : t.type == GRPO_TYPE_INT    ? "int"
                     : t.type == GRPO_TYPE_UINT   ? "uint"
                                                  : "of type " + std::to_string(t.type) + " with bits ";
  return type + std::to_string(t.bits) + (t.lanes > 1 ? " x " + std::to_string(t.lanes) : "");
}

element kind_of(const std::string& what, const grpo_dltensor& t) {
  if (t.device_type != GRPO_DEVICE_CPU && t.device_type != GRPO_DEVICE_CUDA_HOST)
    throw failure{
        GRPO_STATUS_UNSUPPORTED,
        what + " is on " + (t.device_type == GRPO_DEVICE_CUDA ? "a CUDA device" : "another device") +
            ", and this optimizer works in host memory: choose one that works on the device, such as optimizer.plugin: "
            "adamw_torch, or model.device: cpu"};
  if (t.lanes == 1 && t.type == GRPO_TYPE_FLOAT && t.bits == 32) return element::fp32;
  if (t.lanes == 1 && t.type == GRPO_TYPE_FLOAT && t.bits == 16) return element::fp16;
  if (t.lanes == 1 && t.type == GRPO_TYPE_BFLOAT && t.bits == 16) return element::bf16;
  throw failure{GRPO_STATUS_UNSUPPORTED,
                what + " is " + type_name(t) +
                    ", and this optimizer steps fp32, bf16 and fp16: choose one of these for the model"};
}

std::int64_t elements(const std::string& what, const grpo_dltensor& t) {
  std::int64_t n = 1;
  for (int d = t.ndim; d-- > 0;) {
    if (t.strides && t.shape[d] > 1 && t.strides[d] != n)
      throw failure{GRPO_STATUS_UNSUPPORTED, what + " has gaps or another order than row-major: make it contiguous"};
    n *= t.shape[d];
  }
  return n;
}

void* data_of(const grpo_tensor& t) { return static_cast<char*>(t.dl.data) + t.dl.byte_offset; }

std::string title(const grpo_slice& s) { return std::string(s.name) + "@" + std::to_string(s.offset); }

slice inspect(const std::string& who, const grpo_slice& s) {
  const std::string what = who + ": " + title(s), value = who + ": the value of " + title(s),
                    gradient = who + ": the gradient of " + title(s);
  if (!s.value || !s.gradient) throw failure{GRPO_STATUS_INVALID, what + " has no value or no gradient"};
  slice out{};
  out.of = &s;
  out.value_kind = kind_of(value, s.value->dl);
  out.gradient_kind = kind_of(gradient, s.gradient->dl);
  out.n = elements(value, s.value->dl);
  if (elements(gradient, s.gradient->dl) != out.n)
    throw failure{GRPO_STATUS_INVALID, what + ": value and gradient differ in size"};
  if (out.gradient_kind != element::fp32 && out.gradient_kind != out.value_kind)
    throw failure{GRPO_STATUS_UNSUPPORTED, what + ": the gradient is neither fp32 nor of the value's type"};
  if (s.value->flags & GRPO_TENSOR_READ_ONLY) throw failure{GRPO_STATUS_INVALID, what + " is read-only"};
  out.value = data_of(*s.value);
  out.gradient = data_of(*s.gradient);
  return out;
}

}  // namespace

slices::slices(std::string who, const grpo_call* call)
    : who_(std::move(who)), tasks_(static_cast<const grpo_tasks*>(call->service(call, GRPO_TASKS_ID))) {}

void slices::tensor::release::operator()(float* p) const { ::operator delete (p, std::align_val_t{64}); }

float* slices::add_state(const grpo_slice& of, std::int64_t n, const char* what) {
  tensor& t = tensors_.emplace_back();
  const auto bytes = static_cast<std::size_t>(n) * sizeof(float);
  t.data.reset(static_cast<float*>(::operator new (std::max<std::size_t>(bytes, 64), std::align_val_t{64})));
  std::memset(t.data.get(), 0, bytes);
  t.name = title(of) + "." + what;
  t.shape[0] = n;
  t.view.struct_size = sizeof t.view;
  t.view.dl = {t.data.get(), GRPO_DEVICE_CPU, 0, 1, GRPO_TYPE_FLOAT, 32, 1, t.shape, nullptr, 0};
  t.view.alignment = 64;
  t.named.struct_size = sizeof t.named;
  t.named.name = t.name.c_str();
  t.named.tensor = &t.view;
  named_.push_back(&t.named);
  return t.data.get();
}

void slices::bind(std::int64_t n, const grpo_slice* const* list, const std::vector<const char*>& what) {
  if (bound_) throw failure{GRPO_STATUS_INVALID, who_ + ": bind was called before"};
  std::vector<slice> found;
  std::set<std::string> names;
  for (std::int64_t i = 0; i < n; ++i) {
    found.push_back(inspect(who_, *list[i]));
    if (!names.insert(title(*list[i])).second)
      throw failure{GRPO_STATUS_INVALID, who_ + ": " + title(*list[i]) + " is there twice"};
  }
  tensors_.clear();  // of a bind that failed for lack of memory
  named_.clear();
  blocks_.clear();
  for (std::size_t i = 0; i < found.size(); ++i) {
    slice& s = found[i];
    for (const char* name : what) s.state.push_back(add_state(*s.of, s.n, name));
    if (s.value_kind != element::fp32) {
      s.master = add_state(*s.of, s.n, "master");
      widen(s.value_kind, static_cast<const std::uint16_t*>(s.value), s.master, s.n);
    }
    for (std::int64_t at = 0; at < s.n; at += block_size) blocks_.push_back({i, at, std::min(s.n, at + block_size)});
  }
  sums_.resize(blocks_.size());
  marks_.resize(blocks_.size());
  done_.resize(blocks_.size());
  slices_ = std::move(found);
  bound_ = true;
}

const float* slices::gradient(const slice& s, std::int64_t begin, std::int64_t n, float* scratch) const {
  if (s.gradient_kind == element::fp32) return static_cast<const float*>(s.gradient) + begin;
  widen(s.gradient_kind, static_cast<const std::uint16_t*>(s.gradient) + begin, scratch, n);
  return scratch;
}

double slices::squared_norm(const grpo_call* call) {
  for_blocks(call, [&](std::size_t i) {
    alignas(64) float scratch[stretch_size];
    const slice& s = slices_[blocks_[i].slice];
    sums_[i] = 0;
    if (s.of->flags & GRPO_SLICE_DUPLICATE) return;
    for_stretches(blocks_[i], [&](std::int64_t begin, std::int64_t n) {
      sums_[i] += sum_of_squares(gradient(s, begin, n, scratch), n);
    });
  });
  double sum = 0;
  for (const double part : sums_) sum += part;
  return sum;
}

void slices::check_gradients(const grpo_call* call, double scale, float limit) {
  const auto factor = static_cast<float>(scale);
  for_blocks(call, [&](std::size_t i) {
    alignas(64) float scratch[stretch_size];
    const slice& s = slices_[blocks_[i].slice];
    bool good = true;
    for_stretches(blocks_[i], [&](std::int64_t begin, std::int64_t n) {
      good = good && within(gradient(s, begin, n, scratch), n, factor, limit);
    });
    marks_[i] = !good;
  });
  const auto bad = std::find(marks_.begin(), marks_.end(), 1);
  if (bad == marks_.end()) return;
  const block& b = blocks_[static_cast<std::size_t>(bad - marks_.begin())];
  const slice& s = slices_[b.slice];
  for (std::int64_t at = b.begin; at < b.end; ++at) {
    float scratch;
    const float x = *gradient(s, at, 1, &scratch) * factor;
    if (std::fabs(x) <= limit) continue;
    throw failure{GRPO_STATUS_FAILED, who_ + ": the gradient of " + s.of->name + " is " + std::to_string(x) +
                                          " at element " + std::to_string(s.of->offset + at) +
                                          (std::isfinite(x) ? ", too large to square" : "") +
                                          ": nothing was changed; skip this step, or look for the loss that made it"};
  }
}

void slices::for_blocks(const grpo_call* call, block_body body, void* context) {
  if (!tasks_ || tasks_->threads < 2 || blocks_.size() < 2) {
    for (std::size_t i = 0; i < blocks_.size(); ++i) body(context, i);
    return;
  }
  struct job {
    block_body body;
    void* context;
    unsigned char* done;
  } all{body, context, done_.data()};
  std::fill(done_.begin(), done_.end(), static_cast<unsigned char>(0));
  const auto n = static_cast<std::int64_t>(blocks_.size());
  const std::int64_t grain = std::max<std::int64_t>(1, n / (tasks_->threads * 4));
  const grpo_status status = tasks_->parallel_for(
      tasks_, call, n, grain,
      [](void* p, std::int64_t begin, std::int64_t end) {
        const job& j = *static_cast<const job*>(p);
        for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
          j.body(j.context, i);
          j.done[i] = 1;
        }
      },
      &all);
  if (status == GRPO_STATUS_OK) return;
  // A cancelled loop has left some out; half a step would be worse than a late one.
  for (std::size_t i = 0; i < blocks_.size(); ++i)
    if (!done_[i]) body(context, i);
}

const grpo_named_tensor* const* slices::state(std::int64_t* n) const {
  *n = static_cast<std::int64_t>(named_.size());
  return named_.data();
}

}  // namespace optimizers
