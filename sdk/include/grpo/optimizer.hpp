// optimizer.hpp: an optimizer in C++17 or later, one class.
//
// Main idea. Most optimizers treat each element by itself: new value and state from old value, state and gradient.
// Write a class with that one loop, and wrap it in grpo::elementwise, which does the rest of the contract: fp32, bf16
// and fp16 values (16 bits with master weights), state tensors for checkpoints, the host's threads, the gradient norm,
// slices that ranks share, a refusal of gradients that are not finite before anything has changed.
//
//     struct plain_descent {
//       explicit plain_descent(grpo::options) {}
//       auto step(const grpo_optimizer_step& s) const {
//         const float rate = float(s.learning_rate * s.gradient_scale);
//         return [=](const grpo::stretch& x) {
//           for (std::int64_t i = 0; i < x.n; ++i) x.value[i] -= rate * x.gradient[i];
//         };
//       }
//     };
//     GRPO_OPTIMIZER(grpo::elementwise<plain_descent>, "plain_descent");
//
// Members of such a class:
//   constructor          from grpo::options, or from grpo::options and grpo::host
//   step(s) const        what to do with every stretch: a function object that throws nothing; stretches run on several
//                        threads at once, each element once. Computed once a step, so the place for powers and roots.
//   state                optional: `static constexpr const char* state[] = {"exp_avg"};`, or a function that returns a
//                        std::vector<const char*>: fp32 tensors of zeros, x.state(0), x.state(1), ...
//   largest_gradient     optional: `static constexpr float`; a larger one, after scaling, is refused (default: FLT_MAX)
//
// Whatever does not fit (whole matrices, another device) is a class with the functions of the table, checked when it is
// compiled; see optimizer.h for what each must do:
//
//     struct my_optimizer {
//       explicit my_optimizer(grpo::options);                                  // or (grpo::options, grpo::host)
//       static constexpr bool cut_anywhere = false;                            // GRPO_OPTIMIZER_ELEMENTWISE
//       void bind(grpo::span<const grpo_slice* const>, const grpo::call&);
//       double squared_norm(const grpo::call&);
//       void step(const grpo_optimizer_step&, const grpo::call&);
//       grpo::span<const grpo_named_tensor* const> state();
//       void state_written(const grpo::call&);                                 // optional
//     };
//     GRPO_OPTIMIZER(my_optimizer, "mine");
//
// Before bind nothing but the destructor runs, and a step with numbers that are not finite never arrives.
#ifndef GRPO_OPTIMIZER_HPP
#define GRPO_OPTIMIZER_HPP

#include <grpo/optimizer.h>

#include <cmath>
#include <iterator>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "boundary.hpp"
#include "slices.hpp"

#pragma GCC visibility push(hidden)
namespace grpo {
inline namespace v1 {

namespace detail {

template <class T, class = void>
struct may_cut_anywhere : std::false_type {};
template <class T>
struct may_cut_anywhere<T, std::enable_if_t<T::cut_anywhere>> : std::true_type {};

template <class T>
using uses_bind =
    decltype(std::declval<T&>().bind(std::declval<span<const grpo_slice* const>>(), std::declval<const call&>()));
template <class T>
using uses_squared_norm = decltype(double{std::declval<T&>().squared_norm(std::declval<const call&>())});
template <class T>
using uses_step =
    decltype(std::declval<T&>().step(std::declval<const grpo_optimizer_step&>(), std::declval<const call&>()));
template <class T>
using uses_state_written = decltype(std::declval<T&>().state_written(std::declval<const call&>()));
template <class T>
using uses_rule =
    decltype(std::declval<const T&>().step(std::declval<const grpo_optimizer_step&>())(std::declval<const stretch&>()));

// The state of an elementwise rule: an array, a function, or none.
template <class T, class = void>
struct state_of {
  static std::vector<const char*> names(const T&) { return {}; }
};
template <class T>
struct state_of<T, std::enable_if_t<std::is_array_v<decltype(T::state)>>> {
  static std::vector<const char*> names(const T&) { return {std::begin(T::state), std::end(T::state)}; }
};
template <class T>
struct state_of<T, std::void_t<decltype(std::declval<const T&>().state())>> {
  static std::vector<const char*> names(const T& rule) { return rule.state(); }
};

template <class T, class = void>
struct largest_gradient_of {
  static constexpr float value = std::numeric_limits<float>::max();
};
template <class T>
struct largest_gradient_of<T, std::void_t<decltype(T::largest_gradient)>> {
  static constexpr float value = T::largest_gradient;
};

}  // namespace detail

// The optimizer of a rule for one element.
template <class Rule>
class elementwise {
  static_assert(detail::has<detail::uses_rule, Rule>::value,
                "a rule has `auto step(const grpo_optimizer_step&) const`, which returns a function of `const "
                "grpo::stretch&`");

 public:
  static constexpr bool cut_anywhere = true;

  elementwise(options o, host h) : rule_(detail::make<Rule>(o, h)), slices_(h.tasks()) {}
  void bind(span<const grpo_slice* const> list, const call&) {
    slices_.bind(list, detail::state_of<Rule>::names(rule_));
  }
  double squared_norm(const call& c) { return slices_.squared_norm(c); }
  void step(const grpo_optimizer_step& s, const call& c) {
    const auto update = static_cast<const Rule&>(rule_).step(s);
    slices_.check_gradients(c, s.gradient_scale, detail::largest_gradient_of<Rule>::value);
    slices_.update(c, update);
  }
  span<const grpo_named_tensor* const> state() const { return slices_.state(); }

 private:
  Rule rule_;
  slices slices_;
};

template <class Optimizer>
struct optimizer_table {
  static_assert(detail::has<detail::uses_bind, Optimizer>::value,
                "an optimizer has `void bind(grpo::span<const grpo_slice* const>, const grpo::call&)`; or is its rule "
                "to be wrapped in grpo::elementwise?");
  static_assert(detail::has<detail::uses_squared_norm, Optimizer>::value,
                "an optimizer has `double squared_norm(const grpo::call&)`");
  static_assert(detail::has<detail::uses_step, Optimizer>::value,
                "an optimizer has `void step(const grpo_optimizer_step&, const grpo::call&)`");

  static grpo_status bind(void* handle, const grpo_call* c, std::int64_t n, const grpo_slice* const* list) noexcept {
    return detail::guarded_bind<Optimizer>(
        handle, c, [&](Optimizer& own) { own.bind(span<const grpo_slice* const>(list, n), call(c)); });
  }
  static grpo_status squared_norm(void* handle, const grpo_call* c, double* sum) noexcept {
    return detail::guarded_bound<Optimizer>(handle, c, [&](Optimizer& own) { *sum = own.squared_norm(call(c)); });
  }
  static grpo_status step(void* handle, const grpo_call* c, const grpo_optimizer_step* s) noexcept {
    return detail::guarded_bound<Optimizer>(handle, c, [&](Optimizer& own) {
      if (s->step < 1 || !std::isfinite(s->learning_rate) || !std::isfinite(s->gradient_scale))
        throw failure(GRPO_STATUS_INVALID, "step " + std::to_string(s->step) + " with learning rate " +
                                               std::to_string(s->learning_rate) + " and gradient scale " +
                                               std::to_string(s->gradient_scale) +
                                               ": steps count from 1, and the others are finite");
      own.step(*s, call(c));
    });
  }
  static grpo_status state(void* handle, const grpo_call* c, std::int64_t* n,
                           const grpo_named_tensor* const** list) noexcept {
    return detail::guarded_bound<Optimizer>(handle, c, [&](Optimizer& own) {
      const span<const grpo_named_tensor* const> all = own.state();
      *n = static_cast<std::int64_t>(all.size());
      *list = all.data();
    });
  }
  static grpo_status state_written(void* handle, const grpo_call* c) noexcept {
    return detail::guarded_bound<Optimizer>(handle, c, [&]([[maybe_unused]] Optimizer& own) {
      if constexpr (detail::has<detail::uses_state_written, Optimizer>::value) own.state_written(call(c));
    });
  }

  static constexpr grpo_optimizer make() {
    grpo_optimizer t{};
    t.struct_size = sizeof t;
    if (detail::may_cut_anywhere<Optimizer>::value) t.flags = GRPO_OPTIMIZER_ELEMENTWISE;
    t.open = detail::open<Optimizer>;
    t.close = detail::close<Optimizer>;
    t.bind = bind;
    t.squared_norm = squared_norm;
    t.step = step;
    t.state = state;
    t.state_written = state_written;
    return t;
  }
  static constexpr grpo_optimizer table = make();
};

}  // namespace v1
}  // namespace grpo
#pragma GCC visibility pop

#define GRPO_OPTIMIZER(Type, name) GRPO_PLUGIN_ONE(GRPO_OPTIMIZER_ID, name, &grpo::optimizer_table<Type>::table)

#endif
