// Optimizers: steps made again bit by bit, whole parameters and parts of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "grpo/sdk/plugins/optimizer.hpp"
#include "support.hpp"

namespace grpo::plugins {
namespace {

using testing::HasSubstr;

// Trains the fake model on made-up gradients; the fake optimizer is elementwise, its parameter has 65,536 elements.
void record_steps(const std::string& file, const char* name = "fake") {
  Registry registry = fakes();
  Model model(registry, "fake", nullptr);
  Optimizer optimizer(recorded(registry.load(GRPO_OPTIMIZER_ID, name), {.file = file}), {{"weight_decay", 0.1}});
  optimizer.bind(model);
  const grpo_parameter& p = *model.parameters()[0];
  auto* gradient = reinterpret_cast<float*>(data_of(*p.gradient));
  const auto elements = element_count(p.gradient->dl);
  for (std::int64_t step = 1; step <= 3; ++step) {
    for (std::int64_t i = 0; i < elements; ++i) gradient[i] = std::sin(static_cast<float>(i * step));
    optimizer.squared_norm();
    optimizer.step(step, 0.01, 0.5);
  }
  // A checkpoint is read: other values and state, as a restart has them.
  for (const grpo_named_tensor* t : optimizer.state()) {
    auto* x = reinterpret_cast<float*>(data_of(*t->tensor));
    for (std::int64_t i = 0; i < element_count(t->tensor->dl); ++i) x[i] *= 0.5f;
  }
  optimizer.state_written();
  reinterpret_cast<float*>(data_of(*p.value))[5] = 3;
  optimizer.step(4, 0.01, 0.5);
  optimizer.state();
}

ReplayReport replay_steps(const std::string& file, const char* name, const ReplaySettings& settings = {}) {
  Registry registry = fakes();
  return replay(file, registry.load(GRPO_OPTIMIZER_ID, name), settings);
}

TEST(RecordOptimizer, StepsAreTheSameBitByBit) {
  const Folder folder;
  record_steps(folder / "steps.calls");
  const ReplayReport report = replay_steps(folder / "steps.calls", "fake");
  EXPECT_TRUE(report.same()) << report.differences[0].what;
  EXPECT_EQ(report.calls, 12u);
  EXPECT_GE(report.compared, 4u * 8192u);  // values of four steps, and state
  EXPECT_THAT(join(report.notes), HasSubstr("first 8192 elements"));
  EXPECT_LT(bytes_of(folder / "steps.calls").size(), std::size_t{1} << 20);
}

TEST(RecordOptimizer, OthersAreSeen) {
  const Folder folder;
  record_steps(folder / "steps.calls");
  const nlohmann::json options = {{"beta1", 0.91}};
  const ReplayReport report = replay_steps(folder / "steps.calls", "fake", {.options = &options});
  ASSERT_FALSE(report.same());
  EXPECT_EQ(report.differences[0].function, "step");
  EXPECT_THAT(report.differences[0].what, HasSubstr("value table.weight"));
  EXPECT_THAT(report.differences[0].what, HasSubstr("of 8192 elements"));
  EXPECT_TRUE(replay_steps(folder / "steps.calls", "fake", {.tolerance = 0.1, .options = &options}).same());
}

}  // namespace
}  // namespace grpo::plugins
