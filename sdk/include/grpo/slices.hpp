// slices.hpp: the slices of an optimizer on the CPU, its state, and the work on them in blocks. elementwise.hpp builds
// on it; an optimizer that needs more than its own elements at once may use it directly.
//
// Blocks have a fixed size, whatever the number of threads, and each writes its own elements and its own partial sum;
// so results do not depend on threads. State is fp32. Values of 16 bits get a master copy in fp32, which is part of the
// state: the values are its roundings.
#ifndef GRPO_SLICES_HPP
#define GRPO_SLICES_HPP

#include <grpo/optimizer.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <vector>

#include "author.hpp"
#include "numbers.hpp"

#pragma GCC visibility push(hidden)
namespace grpo {
inline namespace v1 {

struct slice {
  const grpo_slice* of;
  std::int64_t n;  // elements
  element value_kind, gradient_kind;
  void* value;
  const void* gradient;
  std::vector<float*> state;  // in the order of bind's `what`
  float* master;              // nullptr: the values are fp32 themselves
};

// A stretch of a slice, as fp32.
struct stretch {
  const slice& in;
  std::int64_t begin, n;
  float* value;           // [n] the values or their master copy
  const float* gradient;  // [n] not yet scaled

  float* state(std::size_t which) const { return in.state[which] + begin; }  // [n]
  bool no_decay() const { return (in.of->flags & GRPO_SLICE_NO_DECAY) != 0; }
};

class slices {
 public:
  explicit slices(const grpo_tasks* tasks = nullptr) : tasks_(tasks) {}

  // Once. Makes a state tensor "<slice>@<offset>.<what>" for each of `what`, and "master" where it is needed. Throws
  // failure, naming the slice.
  void bind(span<const grpo_slice* const> list, const std::vector<const char*>& what) {
    if (bound_) throw failure(GRPO_STATUS_INVALID, "bind was called before");
    std::vector<slice> found;
    std::set<std::string> names;
    for (const grpo_slice* one : list) {
      found.push_back(inspect(*one));
      if (!names.insert(title(*one)).second) throw failure(GRPO_STATUS_INVALID, title(*one) + " is there twice");
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
  bool bound() const { return bound_; }

  // Over the gradients of all slices but duplicates.
  double squared_norm(const grpo_call* call) {
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

  // Throws failure, naming the parameter, if a gradient times scale is not finite or beyond limit.
  void check_gradients(const grpo_call* call, double scale, float limit) {
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
    if (bad != marks_.end()) name_gradient(blocks_[static_cast<std::size_t>(bad - marks_.begin())], factor, limit);
  }

  // body(stretch), which throws nothing, for all elements of all slices, in stretches of a size that stays in the first
  // cache; on the host's threads where it offers some, so body changes nothing but its stretch.
  template <class Body>
  void update(const grpo_call* call, Body&& body) {
    for_blocks(call, [&](std::size_t i) {
      alignas(64) float scratch[stretch_size];
      const slice& s = slices_[blocks_[i].slice];
      for_stretches(blocks_[i], [&](std::int64_t begin, std::int64_t n) {
        const float* g = gradient(s, begin, n, scratch);
        if (s.value_kind == element::fp32) {
          body(stretch{s, begin, n, static_cast<float*>(s.value) + begin, g});
          return;
        }
        auto* value = static_cast<std::uint16_t*>(s.value) + begin;
        follow(s.value_kind, value, s.master + begin, n);
        body(stretch{s, begin, n, s.master + begin, g});
        narrow(s.value_kind, s.master + begin, value, n);
      });
    });
  }

  span<const grpo_named_tensor* const> state() const { return {named_.data(), named_.size()}; }

 private:
  struct block {
    std::size_t slice;
    std::int64_t begin, end;
  };
  struct tensor {  // a state tensor
    struct release {
      void operator()(float* p) const { ::operator delete (p, std::align_val_t{64}); }
    };
    std::string name;
    std::int64_t shape[1];
    std::unique_ptr<float[], release> data;
    grpo_tensor view{};
    grpo_named_tensor named{};
  };
  static constexpr std::int64_t block_size = 32768, stretch_size = 2048;

  // ---- what a slice is

  static std::string title(const grpo_slice& s) { return std::string(s.name) + "@" + std::to_string(s.offset); }
  static void* data_of(const grpo_tensor& t) { return static_cast<char*>(t.dl.data) + t.dl.byte_offset; }

  static std::string type_name(const grpo_dltensor& t) {
    std::string type = t.type == GRPO_TYPE_FLOAT    ? "fp"
                       : t.type == GRPO_TYPE_BFLOAT ? "bf"
                       : t.type == GRPO_TYPE_INT    ? "int"
                       : t.type == GRPO_TYPE_UINT   ? "uint"
                                                    : "of type " + std::to_string(t.type) + " with bits ";
    return type + std::to_string(t.bits) + (t.lanes > 1 ? " x " + std::to_string(t.lanes) : "");
  }

  static element kind_of(const std::string& what, const grpo_dltensor& t) {
    if (t.device_type != GRPO_DEVICE_CPU && t.device_type != GRPO_DEVICE_CUDA_HOST)
      throw failure(GRPO_STATUS_UNSUPPORTED,
                    what + " is on " + (t.device_type == GRPO_DEVICE_CUDA ? "a CUDA device" : "another device") +
                        ", and this optimizer works in host memory: choose one that works on the device, such as "
                        "optimizer.plugin: adamw_torch, or model.device: cpu");
    if (t.lanes == 1 && t.type == GRPO_TYPE_FLOAT && t.bits == 32) return element::fp32;
    if (t.lanes == 1 && t.type == GRPO_TYPE_FLOAT && t.bits == 16) return element::fp16;
    if (t.lanes == 1 && t.type == GRPO_TYPE_BFLOAT && t.bits == 16) return element::bf16;
    throw failure(GRPO_STATUS_UNSUPPORTED, what + " is " + type_name(t) +
                                               ", and this optimizer steps fp32, bf16 and fp16: choose one of these "
                                               "for the model");
  }

  static std::int64_t elements(const std::string& what, const grpo_dltensor& t) {
    std::int64_t n = 1;
    for (int d = t.ndim; d-- > 0;) {
      if (t.strides && t.shape[d] > 1 && t.strides[d] != n)
        throw failure(GRPO_STATUS_UNSUPPORTED, what + " has gaps or another order than row-major: make it contiguous");
      n *= t.shape[d];
    }
    return n;
  }

  static slice inspect(const grpo_slice& s) {
    const std::string what = title(s), value = "the value of " + what, gradient = "the gradient of " + what;
    if (!s.value || !s.gradient) throw failure(GRPO_STATUS_INVALID, what + " has no value or no gradient");
    slice out{};
    out.of = &s;
    out.value_kind = kind_of(value, s.value->dl);
    out.gradient_kind = kind_of(gradient, s.gradient->dl);
    out.n = elements(value, s.value->dl);
    if (elements(gradient, s.gradient->dl) != out.n)
      throw failure(GRPO_STATUS_INVALID, what + ": value and gradient differ in size");
    if (out.gradient_kind != element::fp32 && out.gradient_kind != out.value_kind)
      throw failure(GRPO_STATUS_UNSUPPORTED, what + ": the gradient is neither fp32 nor of the value's type");
    if (s.value->flags & GRPO_TENSOR_READ_ONLY) throw failure(GRPO_STATUS_INVALID, what + " is read-only");
    out.value = data_of(*s.value);
    out.gradient = data_of(*s.gradient);
    return out;
  }

  float* add_state(const grpo_slice& of, std::int64_t n, const char* what) {
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

  // ---- gradients

  const float* gradient(const slice& s, std::int64_t begin, std::int64_t n, float* scratch) const {
    if (s.gradient_kind == element::fp32) return static_cast<const float*>(s.gradient) + begin;
    widen(s.gradient_kind, static_cast<const std::uint16_t*>(s.gradient) + begin, scratch, n);
    return scratch;
  }

  void name_gradient(const block& b, float factor, float limit) const {
    const slice& s = slices_[b.slice];
    for (std::int64_t at = b.begin; at < b.end; ++at) {
      float scratch;
      const float x = *gradient(s, at, 1, &scratch) * factor;
      if (std::fabs(x) <= limit) continue;
      throw failure(GRPO_STATUS_FAILED, std::string("the gradient of ") + s.of->name + " is " + std::to_string(x) +
                                            " at element " + std::to_string(s.of->offset + at) +
                                            (std::isfinite(x) ? ", too large to square" : "") +
                                            ": nothing was changed; skip this step, or look for the loss that made it");
    }
  }

  // ---- blocks

  // body(i), which throws nothing, for every block, on the host's threads where it offers some. All of them have run on
  // return.
  template <class Body>
  void for_blocks(const grpo_call* call, Body&& body) {
    if (!tasks_ || tasks_->threads < 2 || blocks_.size() < 2) {
      for (std::size_t i = 0; i < blocks_.size(); ++i) body(i);
      return;
    }
    struct job {
      std::remove_reference_t<Body>* body;
      unsigned char* done;
    } all{&body, done_.data()};
    std::fill(done_.begin(), done_.end(), static_cast<unsigned char>(0));
    const auto n = static_cast<std::int64_t>(blocks_.size());
    const std::int64_t grain = std::max<std::int64_t>(1, n / (tasks_->threads * 4));
    const grpo_status status = tasks_->parallel_for(
        tasks_, call, n, grain,
        [](void* p, std::int64_t begin, std::int64_t end) noexcept {
          const job& j = *static_cast<const job*>(p);
          for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
            (*j.body)(i);
            j.done[i] = 1;
          }
        },
        &all);
    if (status == GRPO_STATUS_OK) return;
    // A cancelled loop has left some out; half a step would be worse than a late one.
    for (std::size_t i = 0; i < blocks_.size(); ++i)
      if (!done_[i]) body(i);
  }

  // fn(begin, n) for the stretches of a block
  template <class Fn>
  static void for_stretches(const block& b, Fn&& fn) {
    for (std::int64_t at = b.begin; at < b.end; at += stretch_size) fn(at, std::min(stretch_size, b.end - at));
  }

  const grpo_tasks* tasks_;  // NULL: this thread alone
  bool bound_ = false;
  std::vector<slice> slices_;
  std::vector<block> blocks_;
  std::vector<double> sums_;          // [blocks]
  std::vector<unsigned char> marks_;  // [blocks]
  std::vector<unsigned char> done_;   // [blocks]
  std::deque<tensor> tensors_;        // they stay where they are
  std::vector<const grpo_named_tensor*> named_;
};

}  // namespace v1
}  // namespace grpo
#pragma GCC visibility pop

#endif
