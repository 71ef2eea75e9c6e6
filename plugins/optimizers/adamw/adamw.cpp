// optimizers/adamw: Adam with decoupled weight decay (Loshchilov and Hutter, 2019), as torch.optim.AdamW computes it.
//
//     w <- w (1 - lr decay)
//     m <- m + (1 - beta1) (g - m)        v <- beta2 v + (1 - beta2) g^2
//     w <- w - lr / (1 - beta1^t)  m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
//
// One pass over memory: all of it for a stretch of elements before the next.
#include <grpo/optimizer.h>

#include <cmath>

#include "table.hpp"

GRPO_MANIFEST({
  "name": "optimizer_adamw", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.optimizer/1", "name": "adamw", "options": {
    "beta1": {"type": "number", "default": 0.9, "minimum": 0, "maximum": 1,
      "description": "decay of the mean of the gradients"},
    "beta2": {"type": "number", "default": 0.999, "minimum": 0, "maximum": 1,
      "description": "decay of the mean of their squares"},
    "epsilon": {"type": "number", "default": 1e-8, "minimum": 0,
      "description": "added to the root of the mean square; bounds the step where gradients are tiny"},
    "weight_decay": {"type": "number", "default": 0, "minimum": 0,
      "description": "shrinks weights by this times the learning rate, beside the gradient; parameters marked by the host are left out"}}}]
});

namespace {

struct factors {
  float scale, keep, mean_in, square_keep, square_in, step, root, epsilon;
};

OPTIMIZER_VECTORS void adamw_loop(float* __restrict w, const float* __restrict g, float* __restrict m,
                                  float* __restrict v, std::int64_t n, const factors& by) {
  const factors f = by;
  for (std::int64_t i = 0; i < n; ++i) {
    const float x = g[i] * f.scale;
    m[i] = m[i] + f.mean_in * (x - m[i]);
    v[i] = f.square_keep * v[i] + f.square_in * (x * x);
    w[i] = f.keep * w[i] - f.step * (m[i] / (std::sqrt(v[i]) / f.root + f.epsilon));
  }
}

class adamw {
 public:
  adamw(const grpo_call* call, const grpo_options* options) : slices("optimizer adamw", call) {
    const auto option = [&](const char* key, double otherwise, double most) {
      return optimizers::number(options, "optimizer adamw", key, otherwise, 0, most);
    };
    beta1_ = option("beta1", 0.9, 1);
    beta2_ = option("beta2", 0.999, 1);
    epsilon_ = option("epsilon", 1e-8, 1e30);
    weight_decay_ = option("weight_decay", 0, 1e30);
  }

  std::vector<const char*> state_names() const { return {"exp_avg", "exp_avg_sq"}; }

  void step(const grpo_call* call, const grpo_optimizer_step& a) {
    constexpr float square_is_finite = 1.8e19f;
    slices.check_gradients(call, a.gradient_scale, square_is_finite);
    const auto t = static_cast<double>(a.step);
    factors f{};
    f.scale = static_cast<float>(a.gradient_scale);
    f.mean_in = static_cast<float>(1 - beta1_);
    f.square_keep = static_cast<float>(beta2_);
    f.square_in = static_cast<float>(1 - beta2_);
    f.step = static_cast<float>(a.learning_rate / (1 - std::pow(beta1_, t)));
    f.root = static_cast<float>(std::sqrt(1 - std::pow(beta2_, t)));
    f.epsilon = static_cast<float>(epsilon_);
    f.keep = 1;
    factors decayed = f;
    decayed.keep = static_cast<float>(1 - a.learning_rate * weight_decay_);
    slices.update(call, [&](const optimizers::stretch& s) {
      adamw_loop(s.value, s.gradient, s.in.state[0] + s.begin, s.in.state[1] + s.begin, s.n,
                 s.in.of->flags & GRPO_SLICE_NO_DECAY ? f : decayed);
    });
  }

  optimizers::slices slices;

 private:
  double beta1_, beta2_, epsilon_, weight_decay_;
};

constexpr grpo_optimizer table = optimizers::make_table<adamw>();

}  // namespace

GRPO_PLUGIN_ONE(GRPO_OPTIMIZER_ID, "adamw", &table);
