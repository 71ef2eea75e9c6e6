// lion: steps by the sign of a mean of gradients (Chen et al., Symbolic Discovery of Optimization Algorithms, 2023,
// arXiv:2302.06675, algorithm 2). It keeps half of Adam's state. The authors advise a learning rate 3 to 10 times
// smaller than Adam's, and a weight decay larger by as much.
//
//     w <- w - lr (sign(beta1 m + (1 - beta1) g) + decay w)        m <- beta2 m + (1 - beta2) g
#include <grpo/optimizer.hpp>

GRPO_MANIFEST({
  "name": "lion", "version": "1.0.0", "licence": "MIT",
  "components": [{"interface": "grpo.optimizer/1", "name": "lion", "options": {
    "beta1": {"type": "number", "default": 0.9, "minimum": 0, "maximum": 1},
    "beta2": {"type": "number", "default": 0.99, "minimum": 0, "maximum": 1},
    "weight_decay": {"type": "number", "default": 0, "minimum": 0}}}]
});

struct lion {
  double beta1, beta2, weight_decay;
  explicit lion(grpo::options o)
      : beta1(o.number("beta1", 0.9)), beta2(o.number("beta2", 0.99)), weight_decay(o.number("weight_decay", 0)) {}

  static constexpr const char* state[] = {"exp_avg"};

  auto step(const grpo_optimizer_step& s) const {
    const float scale = float(s.gradient_scale), rate = float(s.learning_rate), b1 = float(beta1), b2 = float(beta2);
    const float shrink = float(s.learning_rate * weight_decay);
    return [=](const grpo::stretch& x) {
      float *w = x.value, *m = x.state(0);
      const float keep = x.no_decay() ? 1 : 1 - shrink;
      for (std::int64_t i = 0; i < x.n; ++i) {
        const float g = x.gradient[i] * scale, mean = b1 * m[i] + (1 - b1) * g;
        w[i] = keep * w[i] - rate * float((mean > 0) - (mean < 0));
        m[i] = b2 * m[i] + (1 - b2) * g;
      }
    };
  }
};
GRPO_OPTIMIZER(grpo::elementwise<lion>, "lion");
