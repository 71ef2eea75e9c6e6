// grpo.optimizer/1
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "optimizer_bench.hpp"

namespace grpo::plugins::conformance {
namespace {

constexpr double rate = 0.01;

std::size_t total() {
  std::size_t n = 0;
  for (const Shape& s : shapes()) n += static_cast<std::size_t>(s.elements());
  return n;
}

bool same_bits(const Numbers& a, const Numbers& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

bool elementwise(Subject& s) { return (s.table_as<grpo_optimizer>()->flags & GRPO_OPTIMIZER_ELEMENTWISE) != 0; }

// Some steps with gradients that differ.
void run(OptimizerBench& bench, std::int64_t from, std::int64_t to, double scale = 1, double gradient_scale = 1) {
  for (std::int64_t i = from; i <= to; ++i) {
    bench.set_gradients(numbers(100 + static_cast<std::uint64_t>(i), total(), gradient_scale));
    bench.step(i, rate, scale);
  }
}

void zero_gradient(Subject& s) {
  OptimizerBench spared(s, whole_pieces(GRPO_SLICE_NO_DECAY));
  const Numbers before = spared.values();
  for (int i = 1; i <= 3; ++i) spared.step(i, rate);
  need(same_bits(spared.values(), before),
       "with gradients that are all 0 a step changes values that are spared the decay",
       "honour GRPO_SLICE_NO_DECAY; without gradient and state an update is 0");
  OptimizerBench decayed(s, whole_pieces());
  decayed.step(1, rate);
  const Numbers after = decayed.values();
  if (same_bits(after, before)) return;
  for (std::size_t i = 0; i < before.size(); ++i)
    need(after[i] * before[i] >= 0 && std::abs(after[i]) <= std::abs(before[i]),
         "with a gradient of 0 the value " + std::to_string(before[i]) + " becomes " + std::to_string(after[i]),
         "the only thing that moves a value without a gradient is weight decay, towards 0");
  s.note = "weight decay";
}

void zero_rate(Subject& s) {
  OptimizerBench bench(s, whole_pieces());
  const Numbers before = bench.values();
  for (int i = 1; i <= 2; ++i) {
    bench.set_gradients(numbers(100, total()));
    bench.step(i, 0);
  }
  need(same_bits(bench.values(), before), "a step with learning rate 0 changes values",
       "every change is proportional to the rate");
}

void learns(Subject& s) {
  OptimizerBench bench(s, whole_pieces());
  const Numbers target = numbers(77, total());
  const auto distance = [&] {
    double sum = 0;
    const Numbers now = bench.values();
    for (std::size_t i = 0; i < now.size(); ++i) sum += (now[i] - target[i]) * (now[i] - target[i]);
    return sum;
  };
  const double start = distance();
  for (int i = 1; i <= 100; ++i) {
    Numbers gradient = bench.values();
    for (std::size_t k = 0; k < gradient.size(); ++k) gradient[k] -= target[k];
    bench.set_gradients(gradient);
    bench.step(i, rate);
  }
  need(distance() < 0.9 * start,
       "100 steps on a parabola at rate 0.01 bring the distance from " + std::to_string(start) + " to " +
           std::to_string(distance()),
       "a step goes against the gradient");
  s.note = "a parabola's value to " + std::to_string(static_cast<int>(100 * distance() / start)) + " % in 100 steps";
}

void norm(Subject& s) {
  auto pieces = whole_pieces();
  pieces[1].flags = GRPO_SLICE_DUPLICATE;
  OptimizerBench bench(s, pieces);
  const Numbers g = numbers(100, total());
  bench.set_gradients(g);
  double expected = 0;
  const auto first = static_cast<std::size_t>(shapes()[0].elements()),
             second = static_cast<std::size_t>(shapes()[1].elements());
  for (std::size_t i = 0; i < g.size(); ++i)
    if (i < first || i >= first + second) expected += static_cast<double>(g[i]) * g[i];
  const double got = bench.squared_norm();
  need(std::abs(got - expected) <= 1e-9 * expected,
       "squared_norm is " + std::to_string(got) + ", the sum of the squares is " + std::to_string(expected),
       "sum in double precision; leave out GRPO_SLICE_DUPLICATE; gradient_scale is not part of it");
  const Numbers before = bench.values();
  bench.squared_norm();
  need(same_bits(bench.values(), before), "squared_norm changed values", "it only reads");
}

void restored(Subject& s) {
  OptimizerBench one(s, whole_pieces());
  run(one, 1, 3);
  const State state = one.state();
  const Numbers values = one.values();
  OptimizerBench other(s, whole_pieces());
  other.set_values(values);
  other.restore(state);
  need(other.state() == state, "state does not hold what was written into it", "the tensors of state are the state");
  for (OptimizerBench* bench : {&one, &other}) run(*bench, 4, 6);
  need(same_bits(one.values(), other.values()), "after restoring the state the next steps give other values",
       "all that a step depends on, besides its arguments, is in the tensors of state; state_written reads them back");
  need(one.state() == other.state(), "after restoring the state the next steps leave another state", "");
  s.note = std::to_string(state.size()) + " state tensors";
}

// Scaling by a power of two is exact.
void scale(Subject& s) {
  OptimizerBench whole(s, whole_pieces()), scaled(s, whole_pieces());
  run(whole, 1, 3, 1, 0.25);
  run(scaled, 1, 3, 0.25, 1);
  need(same_bits(whole.values(), scaled.values()),
       "gradients of a quarter, and gradient_scale 0.25, give different values",
       "gradients are multiplied by gradient_scale first");
}

void slices(Subject& s) {
  if (!elementwise(s)) throw Skipped{"it wants whole parameters (no GRPO_OPTIMIZER_ELEMENTWISE)"};
  OptimizerBench whole(s, whole_pieces());
  run(whole, 1, 3);
  for (const std::int64_t longest : {1, 7, 64}) {
    OptimizerBench cut(s, cut_pieces(longest));
    run(cut, 1, 3);
    // A vector loop and its remainder may round differently.
    const Numbers a = cut.values(), b = whole.values();
    for (std::size_t i = 0; i < a.size(); ++i)
      need(std::abs(a[i] - b[i]) <= 1e-6f * (1 + std::abs(b[i])),
           "cut into pieces of " + std::to_string(longest) + " a value becomes " + std::to_string(a[i]) + ", whole " +
               std::to_string(b[i]),
           "with GRPO_OPTIMIZER_ELEMENTWISE each element is stepped by itself");
    if (!same_bits(a, b)) s.note = "up to rounding";
    const Numbers g = numbers(103, total());
    cut.set_gradients(g), whole.set_gradients(g);
    need(std::abs(cut.squared_norm() - whole.squared_norm()) <= 1e-9 * whole.squared_norm(),
         "cut into pieces the gradients have another norm", "");
  }
}

// Neither in the norm, where the host looks, nor in step: a NaN must not get into the values unnoticed.
void not_finite(Subject& s) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    OptimizerBench bench(s, whole_pieces());
    run(bench, 1, 2);
    Numbers g = numbers(100, total());
    g[total() / 2] = bad;
    bench.set_gradients(g);
    Caller asked;
    double sum = 0;
    const grpo_status norm = bench.table->squared_norm(bench.handle(), asked, &sum);
    const Numbers before = bench.values();
    const State state = bench.state();
    Caller call;
    const grpo_status status = bench.try_step(call, 3, rate);
    const bool told = norm != GRPO_STATUS_OK || !std::isfinite(sum);
    need(told || status != GRPO_STATUS_OK,
         "a gradient of " + std::string(std::isnan(bad) ? "NaN" : "infinity") +
             " gives a finite norm and a step that succeeds",
         "squared_norm must not be finite, or step must refuse");
    if (status == GRPO_STATUS_OK) continue;
    need(call.spoke(), "step refuses a gradient that is not finite without a message",
         "name the parameter with call->fail");
    need(same_bits(bench.values(), before) && bench.state() == state, "a step that failed has changed values or state",
         "look at all gradients before the first value is written");
    s.note = "step refuses it";
  }
}

void other_types(Subject& s) {
  Opened handle(s);
  const auto* table = handle.table_as<grpo_optimizer>();
  std::vector<std::int64_t> shape{4};
  Pages value(16, "a value"), gradient(16, "a gradient");
  auto v = tensor_of(value.data(), shape, Fields::plain, "a tensor"),
       g = tensor_of(gradient.data(), shape, Fields::plain, "a tensor");
  (*v)->dl.type = (*g)->dl.type = GRPO_TYPE_INT;
  Struct<grpo_slice> slice("a grpo_slice");
  slice->name = "steps";
  slice->whole_ndim = 1;
  slice->whole_shape = shape.data();
  slice->value = *v;
  slice->gradient = *g;
  const grpo_slice* list[] = {slice};
  Caller call;
  s.at("bind of a parameter of integers");
  const grpo_status status = table->bind(handle.handle(), call, 1, list);
  need(status != GRPO_STATUS_OK, "bind takes a parameter of integers",
       "look at dl.type, bits and device_type; refuse with GRPO_STATUS_UNSUPPORTED what you cannot step");
  need(call.spoke(), "bind refuses a type without a message", "name the parameter and the type with call->fail");
}

void fields(Subject& s) {
  Numbers expected;
  for (const Fields how : later_hosts(s)) {
    OptimizerBench bench(s, whole_pieces(), how);
    run(bench, 1, 3);
    if (how == Fields::plain) expected = bench.values();
    need(same_bits(bench.values(), expected), "longer structs of a later host give other values",
         "do not look at fields that your headers do not have");
  }
}

void determinism(Subject& s) {
  OptimizerBench one(s, whole_pieces()), other(s, whole_pieces());
  for (int i = 1; i <= 4; ++i) run(one, i, i), run(other, i, i);  // side by side
  need(same_bits(one.values(), other.values()) && one.state() == other.state(),
       "two handles with the same values and gradients come to different values", "no state outside of the handle");
}

void growth(Subject& s) {
  OptimizerBench bench(s, whole_pieces());
  std::int64_t i = 0;
  const Numbers g = numbers(100, total());
  const int n = need_no_growth(s, s.times(1000, 100), "a step", [&] {
    bench.set_gradients(g);
    bench.squared_norm();
    bench.step(++i, rate);
    bench.state();
  });
  s.note = std::to_string(n) + " steps";
}

constexpr Check all[] = {
    {"optimizer.zero_gradient", "optimizer", "a gradient of 0 changes no value, but for declared weight decay",
     zero_gradient},
    {"optimizer.zero_rate", "optimizer", "a learning rate of 0 changes no value", zero_rate},
    {"optimizer.learns", "optimizer", "steps go against the gradient", learns},
    {"optimizer.norm", "optimizer", "squared_norm is the sum of the squares, duplicates left out", norm},
    {"optimizer.state", "optimizer", "saved, loaded, the next steps are the same to the bit", restored},
    {"optimizer.scale", "optimizer", "gradient_scale multiplies gradients before anything else", scale},
    {"optimizer.slices", "optimizer", "however parameters are cut, the values are the same", slices},
    {"optimizer.not_finite", "optimizer",
     "a gradient that is not finite is told or refused, and refusing changes nothing", not_finite},
    {"optimizer.types", "optimizer", "bind refuses with a message what it cannot step", other_types},
    {"optimizer.fields", "optimizer", "longer structs of a later host change nothing", fields},
    {"optimizer.determinism", "optimizer", "two handles do not disturb each other", determinism},
    {"optimizer.growth", "optimizer", "steps leave no memory, thread or descriptor behind", growth},
};

}  // namespace

std::span<const Check> optimizer_checks() { return all; }

}  // namespace grpo::plugins::conformance
