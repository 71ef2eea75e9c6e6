// Rules that an optimizer, or who calls one, can break.
#include <grpo/optimizer.h>
#include <gtest/gtest.h>

#include "support.hpp"

namespace grpo::plugins {
namespace {

struct DrivenOptimizer : Driven<grpo_optimizer> {
  DrivenOptimizer(Said& said, const std::string& how) : Driven(said, GRPO_OPTIMIZER_ID, "broken", how) {
    value_tensor = tensor(value);
    gradient_tensor = tensor(gradient);
    slice.struct_size = sizeof slice;
    slice.name = "w";
    slice.whole_ndim = 1;
    slice.whole_shape = shape;
    slice.value = &value_tensor;
    slice.gradient = &gradient_tensor;
  }
  grpo_tensor tensor(float* data) {
    grpo_tensor t{};
    t.struct_size = sizeof t;
    t.dl = {data, GRPO_DEVICE_CPU, 0, 1, GRPO_TYPE_FLOAT, 32, 1, shape, nullptr, 0};
    return t;
  }
  grpo_status bind() { return table->bind(handle, call, 1, list); }
  grpo_status step(double rate = 0.5) {
    grpo_optimizer_step s{};
    s.struct_size = sizeof s;
    s.step = 1;
    s.learning_rate = rate;
    s.gradient_scale = 1;
    return table->step(handle, call, &s);
  }
  void live() {
    std::int64_t n = 0;
    bind();
    table->squared_norm(handle, call, &norm);
    step();
    const grpo_named_tensor* const* all = nullptr;
    table->state(handle, call, &n, &all);
    table->state_written(handle, call);
  }
  std::int64_t shape[1] = {3};
  float value[3] = {1, 2, 3}, gradient[3] = {1, -1, 2};
  grpo_tensor value_tensor{}, gradient_tensor{};
  grpo_slice slice{};
  const grpo_slice* list[1] = {&slice};
  double norm = 0;
};

}  // namespace

std::vector<Case> optimizer_cases() {
  std::vector<Case> cases;
  for (const std::string rule :
       {"optimizer.squared_norm", "optimizer.step.nan", "optimizer.failed.changed", "optimizer.state"})
    cases.push_back({rule, false, [rule](Said& said) { DrivenOptimizer(said, rule).live(); }});
  cases.push_back({"optimizer.unbound", true, [](Said& said) {
                     DrivenOptimizer optimizer(said, "");
                     EXPECT_EQ(optimizer.step(), GRPO_STATUS_INVALID);
                   }});
  cases.push_back({"optimizer.arguments", true, [](Said& said) {
                     DrivenOptimizer optimizer(said, "");
                     EXPECT_EQ(optimizer.bind(), GRPO_STATUS_OK);
                     EXPECT_EQ(optimizer.step(std::numeric_limits<double>::quiet_NaN()), GRPO_STATUS_INVALID);
                   }});
  return cases;
}

TEST(CheckedOptimizer, SaysNothingOfASoundOne) {
  Said said;
  {
    DrivenOptimizer optimizer(said, "");
    optimizer.live();
    EXPECT_EQ(optimizer.norm, 6);
    EXPECT_EQ(optimizer.value[0], 0.5f);
  }
  EXPECT_EQ(said.text(), "");
}

}  // namespace grpo::plugins
