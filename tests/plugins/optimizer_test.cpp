#include "grpo/sdk/plugins/optimizer.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "fakes.hpp"

namespace grpo::plugins {
namespace {

using testing::HasSubstr;

struct Pair {
  Registry registry = fakes();
  Model model{registry, "fake", nullptr};
  Optimizer optimizer{registry, "fake", {{"weight_decay", 0.1}}};
  float* value = nullptr;
  float* gradient = nullptr;
  Pair() {
    value = reinterpret_cast<float*>(data_of(*model.parameters()[0]->value));
    gradient = reinterpret_cast<float*>(data_of(*model.parameters()[0]->gradient));
  }
  // Some gradient that depends on the step.
  void step(std::int64_t number) {
    for (int i = 0; i < 1024 * 64; ++i) gradient[i] = std::sin(static_cast<float>(i + 7 * number));
    optimizer.step(number, 0.01, 0.5);
  }
};

TEST(Optimizer, NormAndFirstStep) {
  Pair p;
  p.optimizer.bind(p.model);
  std::fill(p.gradient, p.gradient + 1024 * 64, 0.f);
  p.gradient[0] = 3;
  p.gradient[7] = -4;
  EXPECT_EQ(p.optimizer.squared_norm(), 25);
  const float before = p.value[0], untouched = p.value[1];
  p.optimizer.step(1, 0.01, 1);
  // Adam's first step is the learning rate in the gradient's sign, and the decay.
  EXPECT_NEAR(p.value[0], before - 0.01f - 0.001f * before, 1e-6);
  EXPECT_NEAR(p.value[1], untouched - 0.001f * untouched, 1e-6);
}

TEST(Optimizer, ParametersWithoutDecay) {
  Pair p;
  p.optimizer.bind(p.model,
                   [](const grpo_parameter& parameter) { return std::string(parameter.name) == "table.weight"; });
  std::fill(p.gradient, p.gradient + 1024 * 64, 0.f);
  const float before = p.value[5];
  p.optimizer.step(1, 0.01, 1);
  EXPECT_EQ(p.value[5], before);
}

TEST(Optimizer, RestoredStepsAreBitIdentical) {
  Pair a, b;
  a.optimizer.bind(a.model);
  for (int i = 1; i <= 3; ++i) a.step(i);
  b.optimizer.bind(b.model);
  std::memcpy(b.value, a.value, sizeof(float) * 1024 * 64);
  const auto from = a.optimizer.state(), to = b.optimizer.state();
  ASSERT_EQ(from.size(), 2u);
  for (std::size_t i = 0; i < from.size(); ++i) {
    EXPECT_STREQ(from[i]->name, to[i]->name);
    std::memcpy(data_of(*to[i]->tensor), data_of(*from[i]->tensor),
                static_cast<std::size_t>(byte_count(from[i]->tensor->dl)));
  }
  b.optimizer.state_written();
  for (int i = 4; i <= 6; ++i) {
    a.step(i);
    b.step(i);
  }
  EXPECT_EQ(std::memcmp(a.value, b.value, sizeof(float) * 1024 * 64), 0);
}

TEST(Optimizer, BindsOnce) {
  Pair p;
  EXPECT_THAT(error_of([&] { p.optimizer.squared_norm(); }), HasSubstr("squared_norm: bind it to a model first"));
  p.optimizer.bind(p.model);
  EXPECT_THAT(error_of([&] { p.optimizer.bind(p.model); }), HasSubstr("it is bound already"));
}

}  // namespace
}  // namespace grpo::plugins
