#include "line.hpp"

#include "fakes.hpp"

namespace grpo::plugins {
namespace {

TEST(Line, GrpoLearnsWithFakes) {
  Registry registry = fakes();
  expect_learning(registry, "fake", "fake");
}

}  // namespace
}  // namespace grpo::plugins
