// optimizers/sgd: gradient descent, as torch.optim.SGD computes it.
//
//     g <- g + decay w        b <- momentum b + g        w <- w - lr b        (Nesterov: w <- w - lr (g + momentum b))
#include <grpo/optimizer.hpp>
#include <vector>

GRPO_MANIFEST({
  "name": "optimizer_sgd", "version": "0.1.0", "licence": "MIT",
  "components": [{"interface": "grpo.optimizer/1", "name": "sgd", "options": {
    "momentum": {"type": "number", "default": 0, "minimum": 0, "maximum": 1,
      "description": "share of the last direction that is kept; 0 needs no memory for it"},
    "nesterov": {"type": "boolean", "default": false,
      "description": "look ahead along the momentum, which must not be 0"},
    "weight_decay": {"type": "number", "default": 0, "minimum": 0,
      "description": "added to the gradient, times the weight; parameters marked by the host are left out"}}}]
});

namespace {

struct factors {
  float scale, decay, momentum, rate;
};

GRPO_VECTORS void plain_loop(float* __restrict w, const float* __restrict g, std::int64_t n, const factors& by) {
  const factors f = by;
  for (std::int64_t i = 0; i < n; ++i) w[i] = w[i] - f.rate * (g[i] * f.scale + f.decay * w[i]);
}

GRPO_VECTORS void momentum_loop(float* __restrict w, const float* __restrict g, float* __restrict b, std::int64_t n,
                                const factors& by) {
  const factors f = by;
  for (std::int64_t i = 0; i < n; ++i) {
    b[i] = f.momentum * b[i] + (g[i] * f.scale + f.decay * w[i]);
    w[i] = w[i] - f.rate * b[i];
  }
}

GRPO_VECTORS void nesterov_loop(float* __restrict w, const float* __restrict g, float* __restrict b, std::int64_t n,
                                const factors& by) {
  const factors f = by;
  for (std::int64_t i = 0; i < n; ++i) {
    const float x = g[i] * f.scale + f.decay * w[i];
    b[i] = f.momentum * b[i] + x;
    w[i] = w[i] - f.rate * (x + f.momentum * b[i]);
  }
}

struct sgd {
  explicit sgd(grpo::options o)
      : momentum(o.number_below("momentum", 0, 0, 1)),
        weight_decay(o.number_below("weight_decay", 0, 0, 1e30)),
        nesterov(o.boolean("nesterov", false)) {
    if (nesterov && !(momentum > 0))
      throw grpo::failure(GRPO_STATUS_INVALID,
                          "nesterov needs momentum: set momentum, such as 0.9, or leave nesterov out");
  }

  std::vector<const char*> state() const {
    if (momentum > 0) return {"momentum_buffer"};
    return {};
  }

  auto step(const grpo_optimizer_step& a) const {
    const factors plain{static_cast<float>(a.gradient_scale), 0, static_cast<float>(momentum),
                        static_cast<float>(a.learning_rate)};
    factors decayed = plain;
    decayed.decay = static_cast<float>(weight_decay);
    return [=, keeps = momentum > 0, looks_ahead = nesterov](const grpo::stretch& s) {
      const factors& f = s.no_decay() ? plain : decayed;
      if (!keeps)
        plain_loop(s.value, s.gradient, s.n, f);
      else if (looks_ahead)
        nesterov_loop(s.value, s.gradient, s.state(0), s.n, f);
      else
        momentum_loop(s.value, s.gradient, s.state(0), s.n, f);
    };
  }

  double momentum, weight_decay;
  bool nesterov;
};

}  // namespace

GRPO_OPTIMIZER(grpo::elementwise<sgd>, "sgd");
