// table.hpp: the table of an optimizer of this folder, from its class.
//
//     class sgd {
//      public:
//       sgd(const grpo_call*, const grpo_options*);            // throws failure
//       std::vector<const char*> state_names() const;          // without "master"
//       void step(const grpo_call*, const grpo_optimizer_step&);  // throws failure, and has changed nothing then
//       optimizers::slices slices;
//     };
//     constexpr grpo_optimizer table = optimizers::make_table<sgd>();
#ifndef OPTIMIZER_TABLE_HPP
#define OPTIMIZER_TABLE_HPP

#include <cmath>
#include <memory>
#include <string>

#include "slices.hpp"

namespace optimizers {

// An option in [least, most), or failure.
inline double number(const grpo_options* options, const std::string& who, const char* key, double otherwise,
                     double least, double most) {
  const double value = grpo_option_number(options, key, otherwise);
  if (!(value >= least && value < most))
    throw failure{GRPO_STATUS_INVALID, who + ": option " + key + " is " + std::to_string(value) +
                                           ", and must be at least " + std::to_string(least) + " and below " +
                                           std::to_string(most)};
  return value;
}

inline void check_step(const grpo_optimizer_step& a) {
  if (a.step < 1 || !std::isfinite(a.learning_rate) || !std::isfinite(a.gradient_scale))
    throw failure{GRPO_STATUS_INVALID, "optimizer: step " + std::to_string(a.step) + " with learning rate " +
                                           std::to_string(a.learning_rate) + " and gradient scale " +
                                           std::to_string(a.gradient_scale) +
                                           ": steps count from 1, and the others are finite"};
}

template <class Optimizer>
struct functions {
  static Optimizer& self(void* handle) { return *static_cast<Optimizer*>(handle); }
  static void need_bind(const Optimizer& o) {
    if (!o.slices.bound()) throw failure{GRPO_STATUS_INVALID, "optimizer: bind comes before anything else"};
  }

  static grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) {
    return guarded(call, [&] { *handle = std::make_unique<Optimizer>(call, options).release(); });
  }
  static void close(void* handle) { delete &self(handle); }
  static grpo_status bind(void* handle, const grpo_call* call, std::int64_t n, const grpo_slice* const* list) {
    return guarded(call, [&] { self(handle).slices.bind(n, list, self(handle).state_names()); });
  }
  static grpo_status squared_norm(void* handle, const grpo_call* call, double* sum) {
    return guarded(call, [&] {
      need_bind(self(handle));
      *sum = self(handle).slices.squared_norm(call);
    });
  }
  static grpo_status step(void* handle, const grpo_call* call, const grpo_optimizer_step* step) {
    return guarded(call, [&] {
      need_bind(self(handle));
      check_step(*step);
      self(handle).step(call, *step);
    });
  }
  static const grpo_named_tensor* const* state(void* handle, std::int64_t* n) { return self(handle).slices.state(n); }
  // Nothing is derived from the state.
  static grpo_status state_written(void*, const grpo_call*) { return GRPO_STATUS_OK; }
};

template <class Optimizer>
constexpr grpo_optimizer make_table() {
  using f = functions<Optimizer>;
  grpo_optimizer t{};
  t.struct_size = sizeof t;
  t.flags = GRPO_OPTIMIZER_ELEMENTWISE;
  t.open = f::open;
  t.close = f::close;
  t.bind = f::bind;
  t.squared_norm = f::squared_norm;
  t.step = f::step;
  t.state = f::state;
  t.state_written = f::state_written;
  return t;
}

}  // namespace optimizers

#endif
