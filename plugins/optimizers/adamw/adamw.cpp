// optimizers/adamw: Adam with decoupled weight decay (Loshchilov and Hutter, 2019), as torch.optim.AdamW computes it.
//
//     w <- w (1 - lr decay)
//     m <- m + (1 - beta1) (g - m)        v <- beta2 v + (1 - beta2) g^2
//     w <- w - lr / (1 - beta1^t)  m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)
//
// One pass over memory: all of it for a stretch of elements before the next.
#include <cmath>
#include <grpo/optimizer.hpp>

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

GRPO_VECTORS void adamw_loop(float* __restrict w, const float* __restrict g, float* __restrict m, float* __restrict v,
                             std::int64_t n, const factors& by) {
  const factors f = by;
  for (std::int64_t i = 0; i < n; ++i) {
    const float x = g[i] * f.scale;
    m[i] = m[i] + f.mean_in * (x - m[i]);
    v[i] = f.square_keep * v[i] + f.square_in * (x * x);
    w[i] = f.keep * w[i] - f.step * (m[i] / (std::sqrt(v[i]) / f.root + f.epsilon));
  }
}

struct adamw {
  explicit adamw(grpo::options o)
      : beta1(o.number_below("beta1", 0.9, 0, 1)),
        beta2(o.number_below("beta2", 0.999, 0, 1)),
        epsilon(o.number_below("epsilon", 1e-8, 0, 1e30)),
        weight_decay(o.number_below("weight_decay", 0, 0, 1e30)) {}

  static constexpr const char* state[] = {"exp_avg", "exp_avg_sq"};
  static constexpr float largest_gradient = 1.8e19f;  // its square is finite

  auto step(const grpo_optimizer_step& a) const {
    const auto t = static_cast<double>(a.step);
    factors f{};
    f.scale = static_cast<float>(a.gradient_scale);
    f.mean_in = static_cast<float>(1 - beta1);
    f.square_keep = static_cast<float>(beta2);
    f.square_in = static_cast<float>(1 - beta2);
    f.step = static_cast<float>(a.learning_rate / (1 - std::pow(beta1, t)));
    f.root = static_cast<float>(std::sqrt(1 - std::pow(beta2, t)));
    f.epsilon = static_cast<float>(epsilon);
    f.keep = 1;
    factors decayed = f;
    decayed.keep = static_cast<float>(1 - a.learning_rate * weight_decay);
    return [=](const grpo::stretch& s) {
      adamw_loop(s.value, s.gradient, s.state(0), s.state(1), s.n, s.no_decay() ? f : decayed);
    };
  }

  double beta1, beta2, epsilon, weight_decay;
};

}  // namespace

GRPO_OPTIMIZER(grpo::elementwise<adamw>, "adamw");
