// optimizers/adamw_torch: AdamW on the device where the parameters are, by LibTorch's fused kernel: CPU or CUDA. The
// same formula as optimizers/adamw, the same options, state under the same names: a checkpoint of one resumes in the
// other.
#include <c10/core/InferenceMode.h>
#include <grpo/optimizer.h>

#include "table.hpp"
#include "torch_slices.hpp"

GRPO_MANIFEST({
  "name": "optimizer_adamw_torch", "version": "0.1.0", "licence": "Apache-2.0",
  "components": [{"interface": "grpo.optimizer/1", "name": "adamw_torch", "options": {
    "beta1": {"type": "number", "default": 0.9, "minimum": 0, "maximum": 1,
      "description": "decay of the mean of the gradients"},
    "beta2": {"type": "number", "default": 0.999, "minimum": 0, "maximum": 1,
      "description": "decay of the mean of their squares"},
    "epsilon": {"type": "number", "default": 1e-8, "minimum": 0,
      "description": "added to the root of the mean square; bounds the step where gradients are tiny"},
    "weight_decay": {"type": "number", "default": 0, "minimum": 0,
      "description": "shrinks weights by this times the learning rate, beside the gradient; parameters marked by the host are left out"}}}],
  "requires": {"libtorch": "2.11.0"}
});

namespace {

using at::Tensor;
using optimizers::failure;

constexpr std::int64_t batch_elements = 1 << 26;  // gradients that are scaled at a time: bounds the memory for them
constexpr double square_is_finite = 1.8e19;

class adamw_torch {
 public:
  explicit adamw_torch(const grpo_options* options) : slices("optimizer adamw_torch") {
    const auto option = [&](const char* key, double otherwise, double most) {
      return optimizers::number(options, "optimizer adamw_torch", key, otherwise, 0, most);
    };
    beta1_ = option("beta1", 0.9, 1);
    beta2_ = option("beta2", 0.999, 1);
    epsilon_ = option("epsilon", 1e-8, 1e30);
    weight_decay_ = option("weight_decay", 0, 1e30);
  }

  void step(const grpo_optimizer_step& a) {
    slices.check_gradients(a.gradient_scale, square_is_finite);
    slices.follow();
    for (const bool decays : {true, false}) {
      batch next;
      for (const auto& s : slices.all()) {
        if (s.value.numel() == 0 || decays == bool(s.of->flags & GRPO_SLICE_NO_DECAY)) continue;
        if (next.elements > 0 && next.elements + s.value.numel() > batch_elements) run(next, a, decays);
        next.add(s);
      }
      if (next.elements > 0) run(next, a, decays);
    }
    slices.narrow();
  }

  optimizers::torch_slices slices;

 private:
  struct batch {
    std::vector<Tensor> values, gradients, means, squares;
    std::int64_t elements = 0;
    void add(const optimizers::torch_slice& s) {
      values.push_back(s.master);
      gradients.push_back(s.gradient.to(at::kFloat));
      means.push_back(s.state[0]);
      squares.push_back(s.state[1]);
      elements += s.value.numel();
    }
  };

  // The kernel would divide the gradients by their scale in place; they are the host's, so it gets scaled copies.
  void run(batch& b, const grpo_optimizer_step& a, bool decays) {
    if (a.gradient_scale < 1 || a.gradient_scale > 1) b.gradients = at::_foreach_mul(b.gradients, a.gradient_scale);
    const std::vector<Tensor> steps(b.values.size(),
                                    at::full({}, static_cast<double>(a.step), b.values[0].options().dtype(at::kFloat)));
    at::_fused_adamw_(b.values, b.gradients, b.means, b.squares, {}, steps, a.learning_rate, beta1_, beta2_,
                      decays ? weight_decay_ : 0, epsilon_, /*amsgrad=*/false, /*maximize=*/false);
    b = {};
  }

  double beta1_, beta2_, epsilon_, weight_decay_;
};

adamw_torch& self(void* handle) { return *static_cast<adamw_torch*>(handle); }

template <class Body>
grpo_status guarded(const grpo_call* call, Body&& body) {
  return optimizers::guarded(call, [&] {
    const c10::InferenceMode no_autograd;
    try {
      body();
    } catch (const c10::OutOfMemoryError&) {
      throw std::bad_alloc();
    } catch (const c10::Error& e) {
      throw failure{GRPO_STATUS_FAILED, std::string("optimizer adamw_torch: ") + e.what_without_backtrace()};
    }
  });
}

void need_bind(const adamw_torch& o) {
  if (!o.slices.bound()) throw failure{GRPO_STATUS_INVALID, "optimizer adamw_torch: bind comes before anything else"};
}

grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) {
  return guarded(call, [&] { *handle = new adamw_torch(options); });
}
void close(void* handle) { delete &self(handle); }

grpo_status bind(void* handle, const grpo_call* call, std::int64_t n, const grpo_slice* const* list) {
  return guarded(call, [&] { self(handle).slices.bind(n, list, {"exp_avg", "exp_avg_sq"}); });
}

grpo_status squared_norm(void* handle, const grpo_call* call, double* sum) {
  return guarded(call, [&] {
    need_bind(self(handle));
    *sum = self(handle).slices.squared_norm();
  });
}

grpo_status step(void* handle, const grpo_call* call, const grpo_optimizer_step* a) {
  return guarded(call, [&] {
    need_bind(self(handle));
    optimizers::check_step(*a);
    self(handle).step(*a);
  });
}

const grpo_named_tensor* const* state(void* handle, std::int64_t* n) {
  try {
    const c10::InferenceMode no_autograd;
    return self(handle).slices.state(n);
  } catch (...) {  // the device failed, as the next call will say
    *n = -1;
    return nullptr;
  }
}

grpo_status state_written(void* handle, const grpo_call* call) {
  return guarded(call, [&] { self(handle).slices.state_written(); });
}

constexpr grpo_optimizer make_table() {
  grpo_optimizer t{};
  t.struct_size = sizeof t;
  t.flags = GRPO_OPTIMIZER_ELEMENTWISE;
  t.open = open;
  t.close = close;
  t.bind = bind;
  t.squared_norm = squared_norm;
  t.step = step;
  t.state = state;
  t.state_written = state_written;
  return t;
}
constexpr grpo_optimizer table = make_table();

}  // namespace

GRPO_PLUGIN_ONE(GRPO_OPTIMIZER_ID, "adamw_torch", &table);
