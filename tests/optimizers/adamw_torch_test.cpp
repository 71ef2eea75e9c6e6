// adamw_torch against adamw: the same steps, the same state under the same names, the same refusals. On the CPU; on a
// device the same calls run.
#include <cmath>

#include "bench.hpp"

namespace {

using bench::Bench;
using bench::Numbers;
using bench::Piece;
using bench::Type;
using testing::AllOf;
using testing::HasSubstr;

constexpr std::int64_t size = 30'001;

struct Case {
  std::map<std::string, double> options;
  Type type, gradient;
};
const Case cases[] = {
    {{}, Type::fp32, Type::fp32},
    {{{"weight_decay", 0.1}, {"beta1", 0.8}, {"beta2", 0.95}, {"epsilon", 1e-6}}, Type::fp32, Type::fp32},
    {{{"weight_decay", 0.1}}, Type::bf16, Type::bf16},
    {{{"weight_decay", 0.1}}, Type::bf16, Type::fp32},
};
const std::vector<Piece> pieces{
    {"first.weight", 0, 1}, {"second.weight", 1, 20'000}, {"norm.weight", 20'001, size - 20'001, GRPO_SLICE_NO_DECAY}};

Numbers gradient(int step) { return bench::numbers(77u + static_cast<std::uint32_t>(step), size); }

void expect_near(const Numbers& a, const Numbers& b, double relative, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (std::size_t i = 0; i < a.size(); ++i)
    ASSERT_LE(std::abs(a[i] - b[i]), relative * (0.1 + std::abs(b[i]))) << what << " " << i;
}

TEST(AdamwTorch, StepsAsAdamwDoes) {
  for (const Case& c : cases) {
    test::Options options(c.options);
    Bench plain("adamw", options, bench::numbers(5, size), pieces, c.type, c.gradient);
    Bench torch("adamw_torch", options, bench::numbers(5, size), pieces, c.type, c.gradient);
    for (int step = 1; step <= 20; ++step) {
      for (Bench* b : {&plain, &torch}) {
        b->gradient.write(gradient(step));
        b->step(step, bench::rate(step), step % 3 ? 0.7 : 1);
        EXPECT_EQ(b->gradient.read(), gradient(step)) << "gradients are the host's";
      }
      EXPECT_NEAR(torch.squared_norm(), plain.squared_norm(), 1e-12 * plain.squared_norm());
    }
    const auto expected = plain.state(), state = torch.state();
    ASSERT_EQ(state.size(), expected.size());
    for (const auto& [name, x] : expected) {
      ASSERT_TRUE(state.contains(name)) << name;
      expect_near(state.at(name), x, 2e-6, name);
    }
    if (c.type == Type::fp32) {
      expect_near(torch.value.read(), plain.value.read(), 1e-6, "value");
    } else {  // a rounding may fall to the other side
      const auto a = torch.value.read(), b = plain.value.read();
      std::size_t differ = 0;
      for (std::size_t i = 0; i < a.size(); ++i) {
        ASSERT_NEAR(a[i], b[i], std::abs(b[i]) / 128);
        differ += a[i] < b[i] || a[i] > b[i];
      }
      EXPECT_LT(differ, a.size() / 1000);
    }
  }
}

TEST(AdamwTorch, ResumesBitForBitAndFromAdamw) {
  for (const Case& c : cases) {
    test::Options options(c.options);
    const auto run = [&](Bench& b, int from, int to) {
      for (int step = from; step <= to; ++step) {
        b.gradient.write(gradient(step));
        b.step(step, 0.01);
      }
    };
    Bench straight("adamw_torch", options, bench::numbers(5, size), pieces, c.type, c.gradient);
    run(straight, 1, 3);
    Bench resumed("adamw_torch", options, straight.value.read(), pieces, c.type, c.gradient);
    resumed.restore(straight.state());
    Bench taken_over("adamw", options, straight.value.read(), pieces, c.type, c.gradient);
    taken_over.restore(straight.state());
    for (Bench* b : {&straight, &resumed, &taken_over}) run(*b, 4, 6);
    EXPECT_EQ(resumed.value.read(), straight.value.read());
    EXPECT_EQ(resumed.state(), straight.state());
    expect_near(taken_over.state().at("second.weight@1.exp_avg"), straight.state().at("second.weight@1.exp_avg"), 2e-6,
                "exp_avg");
  }
}

TEST(AdamwTorch, FollowsAValueWrittenBesideIt) {
  test::Options options;
  Bench bench("adamw_torch", options, Numbers(8, 1.f), bench::whole(8), Type::bf16, Type::fp32);
  bench.step(1, 0.1);
  auto value = bench.value.read();
  value[3] = 5;
  bench.value.write(value);
  bench.step(2, 0.1);
  EXPECT_EQ(bench.value.read()[3], 5);
  EXPECT_EQ(bench.state().at("w@0.master")[3], 5);
}

TEST(AdamwTorch, LeavesDuplicatesOutOfTheNorm) {
  test::Options options;
  Bench bench("adamw_torch", options, Numbers(8, 1.f), {{"a", 0, 3}, {"b", 3, 5, GRPO_SLICE_DUPLICATE}});
  bench.gradient.write({1, 2, 3, 4, 5, 6, 7, 8});
  EXPECT_EQ(bench.squared_norm(), 14);
}

TEST(AdamwTorch, RefusesAGradientThatIsNotFinite) {
  for (const Type type : {Type::fp32, Type::bf16}) {
    test::Options options;
    Bench bench("adamw_torch", options, bench::numbers(5, size), pieces, type);
    bench.gradient.write(gradient(1));
    bench.step(1, 0.1);
    const Numbers value = bench.value.read();
    const auto state = bench.state();
    for (const float bad : {NAN, INFINITY, -INFINITY, 1e25f}) {
      bench.gradient[25'123] = bad;
      test::Call call;
      EXPECT_EQ(bench.try_step(call, 2, 0.1), GRPO_STATUS_FAILED);
      EXPECT_THAT(call.error(),
                  AllOf(HasSubstr("norm.weight"), HasSubstr("element 25123"), HasSubstr("nothing was changed")));
      EXPECT_EQ(bench.value.read(), value);
      EXPECT_EQ(bench.state(), state);
    }
    bench.step(2, 0.1, 1e-20);  // what counts is the gradient after scaling
    test::Call call;
    EXPECT_EQ(bench.try_step(call, 0, 0.1), GRPO_STATUS_INVALID);
  }
}

}  // namespace
