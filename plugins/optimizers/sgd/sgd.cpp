// optimizers/sgd: gradient descent, as torch.optim.SGD computes it.
//
//     g <- g + decay w        b <- momentum b + g        w <- w - lr b        (Nesterov: w <- w - lr (g + momentum b))
#include <grpo/optimizer.h>

#include <limits>

#include "table.hpp"

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

OPTIMIZER_VECTORS void plain_loop(float* __restrict w, const float* __restrict g, std::int64_t n, const factors& by) {
  const factors f = by;
  for (std::int64_t i = 0; i < n; ++i) w[i] = w[i] - f.rate * (g[i] * f.scale + f.decay * w[i]);
}

OPTIMIZER_VECTORS void momentum_loop(float* __restrict w, const float* __restrict g, float* __restrict b,
                                     std::int64_t n, const factors& by) {
  const factors f = by;
  for (std::int64_t i = 0; i < n; ++i) {
    b[i] = f.momentum * b[i] + (g[i] * f.scale + f.decay * w[i]);
    w[i] = w[i] - f.rate * b[i];
  }
}

OPTIMIZER_VECTORS void nesterov_loop(float* __restrict w, const float* __restrict g, float* __restrict b,
                                     std::int64_t n, const factors& by) {
  const factors f = by;
  for (std::int64_t i = 0; i < n; ++i) {
    const float x = g[i] * f.scale + f.decay * w[i];
    b[i] = f.momentum * b[i] + x;
    w[i] = w[i] - f.rate * (x + f.momentum * b[i]);
  }
}

class sgd {
 public:
  sgd(const grpo_call* call, const grpo_options* options) : slices("optimizer sgd", call) {
    momentum_ = optimizers::number(options, "optimizer sgd", "momentum", 0, 0, 1);
    weight_decay_ = optimizers::number(options, "optimizer sgd", "weight_decay", 0, 0, 1e30);
    nesterov_ = grpo_option_integer(options, "nesterov", 0) != 0;
    if (nesterov_ && !(momentum_ > 0))
      throw optimizers::failure{
          GRPO_STATUS_INVALID,
          "optimizer sgd: nesterov needs momentum: set momentum, such as 0.9, or leave nesterov out"};
  }

  std::vector<const char*> state_names() const {
    if (momentum_ > 0) return {"momentum_buffer"};
    return {};
  }

  void step(const grpo_call* call, const grpo_optimizer_step& a) {
    slices.check_gradients(call, a.gradient_scale, std::numeric_limits<float>::max());
    const factors plain{static_cast<float>(a.gradient_scale), 0, static_cast<float>(momentum_),
                        static_cast<float>(a.learning_rate)};
    factors decayed = plain;
    decayed.decay = static_cast<float>(weight_decay_);
    slices.update(call, [&](const optimizers::stretch& s) {
      const factors& f = s.in.of->flags & GRPO_SLICE_NO_DECAY ? plain : decayed;
      if (s.in.state.empty())
        plain_loop(s.value, s.gradient, s.n, f);
      else if (nesterov_)
        nesterov_loop(s.value, s.gradient, s.in.state[0] + s.begin, s.n, f);
      else
        momentum_loop(s.value, s.gradient, s.in.state[0] + s.begin, s.n, f);
    });
  }

  optimizers::slices slices;

 private:
  double momentum_, weight_decay_;
  bool nesterov_;
};

constexpr grpo_optimizer table = optimizers::make_table<sgd>();

}  // namespace

GRPO_PLUGIN_ONE(GRPO_OPTIMIZER_ID, "sgd", &table);
