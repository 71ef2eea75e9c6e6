// optimizers/adamw_torch: AdamW on the device where the parameters are, by LibTorch's fused kernel: CPU or CUDA. The
// same formula as optimizers/adamw, the same options, state under the same names: a checkpoint of one resumes in the
// other.
#include <c10/core/InferenceMode.h>

#include <grpo/optimizer.hpp>

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

constexpr std::int64_t batch_elements = 1 << 26;  // gradients that are scaled at a time: bounds the memory for them
constexpr double square_is_finite = 1.8e19;

class adamw_torch {
 public:
  explicit adamw_torch(grpo::options o)
      : beta1_(o.number_below("beta1", 0.9, 0, 1)),
        beta2_(o.number_below("beta2", 0.999, 0, 1)),
        epsilon_(o.number_below("epsilon", 1e-8, 0, 1e30)),
        weight_decay_(o.number_below("weight_decay", 0, 0, 1e30)) {}

  static constexpr bool cut_anywhere = true;

  using scope = c10::InferenceMode;
  static void translate() {
    try {
      throw;
    } catch (const c10::OutOfMemoryError& e) {
      throw grpo::failure(GRPO_STATUS_NO_MEMORY, e.what_without_backtrace());
    } catch (const c10::Error& e) {
      throw grpo::failure(GRPO_STATUS_FAILED, e.what_without_backtrace());
    }
  }

  void bind(grpo::span<const grpo_slice* const> list, const grpo::call&) {
    slices_.bind(list, {"exp_avg", "exp_avg_sq"});
  }
  double squared_norm(const grpo::call&) { return slices_.squared_norm(); }

  void step(const grpo_optimizer_step& a, const grpo::call&) {
    slices_.check_gradients(a.gradient_scale, square_is_finite);
    slices_.follow();
    for (const bool decays : {true, false}) {
      batch next;
      for (const auto& s : slices_.all()) {
        if (s.value.numel() == 0 || decays == bool(s.of->flags & GRPO_SLICE_NO_DECAY)) continue;
        if (next.elements > 0 && next.elements + s.value.numel() > batch_elements) run(next, a, decays);
        next.add(s);
      }
      if (next.elements > 0) run(next, a, decays);
    }
    slices_.narrow();
  }

  grpo::span<const grpo_named_tensor* const> state() { return slices_.state(); }
  void state_written(const grpo::call&) { slices_.state_written(); }

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
  optimizers::torch_slices slices_;
};

}  // namespace

GRPO_OPTIMIZER(adamw_torch, "adamw_torch");
