// What does not matter: where slices are cut, how many threads there are, whether the run was restored in between.
#include <cmath>

#include "bench.hpp"

namespace {

using bench::Bench;
using bench::Numbers;
using bench::Piece;
using bench::Tasks;
using bench::Type;

constexpr std::int64_t size = 150'001;  // several blocks and a tail

struct Case {
  const char* kind;
  std::map<std::string, double> options;
  Type type, gradient;
};
const Case cases[] = {
    {"adamw", {{"weight_decay", 0.1}}, Type::fp32, Type::fp32},
    {"adamw", {{"weight_decay", 0.1}}, Type::bf16, Type::bf16},
    {"adamw", {}, Type::bf16, Type::fp32},
    {"sgd", {{"weight_decay", 0.1}}, Type::fp32, Type::fp32},
    {"sgd", {{"momentum", 0.9}}, Type::bf16, Type::bf16},
    {"sgd", {{"momentum", 0.9}, {"nesterov", 1}}, Type::fp32, Type::fp32},
};

Numbers gradient(int step) { return bench::numbers(77u + static_cast<std::uint32_t>(step), size); }

Numbers run(const Case& c, const std::vector<Piece>& pieces, int steps, const grpo_tasks* tasks = nullptr) {
  test::Options options(c.options);
  Bench bench(c.kind, options, bench::numbers(5, size), pieces, c.type, c.gradient, tasks);
  for (int step = 1; step <= steps; ++step) {
    bench.gradient.write(gradient(step));
    bench.step(step, 0.01, 0.7);
  }
  return bench.value.read();
}

TEST(Slices, CutAnywhereGiveTheWhole) {
  for (const Case& c : cases) {
    const Numbers whole = run(c, bench::whole(size), 3);
    ASSERT_NE(whole, bench::numbers(5, size));
    EXPECT_EQ(run(c, {{"w", 0, 1}, {"w", 1, 40'000}, {"w", 40'001, 7}, {"w", 40'008, size - 40'008}}, 3), whole)
        << c.kind;
  }
}

TEST(Slices, GiveTheSameWithAnyNumberOfThreads) {
  for (const Case& c : cases) {
    const Numbers alone = run(c, bench::whole(size), 3);
    Tasks four(4), hurried(2, true);
    EXPECT_EQ(run(c, bench::whole(size), 3, &four.table), alone) << c.kind;
    EXPECT_EQ(four.calls, 6);  // check and update
    EXPECT_EQ(run(c, bench::whole(size), 3, &hurried.table), alone) << "a step is never left half done";
  }
}

TEST(Slices, GiveTheSameNormWithAnyNumberOfThreads) {
  const Case& c = cases[1];
  test::Options options(c.options);
  Tasks four(4);
  Bench alone("adamw", options, bench::numbers(5, size), bench::whole(size), c.type, c.gradient);
  Bench together("adamw", options, bench::numbers(5, size), bench::whole(size), c.type, c.gradient, &four.table);
  alone.gradient.write(gradient(1));
  together.gradient.write(gradient(1));
  double exact = 0;  // sums of multiples of 2^-12 are exact in double
  for (const float x : gradient(1)) exact += double{x} * double{x};
  EXPECT_EQ(alone.squared_norm(), exact);
  EXPECT_EQ(together.squared_norm(), exact);
  EXPECT_EQ(four.calls, 1);
}

TEST(Slices, ThatAreDuplicatesAreLeftOutOfTheNorm) {
  test::Options options;
  Bench bench("adamw", options, Numbers(8, 1.f), {{"a", 0, 3}, {"b", 3, 5, GRPO_SLICE_DUPLICATE}});
  bench.gradient.write({1, 2, 3, 4, 5, 6, 7, 8});
  EXPECT_EQ(bench.squared_norm(), 14);
  bench.step(1, 0.1);
  for (const float w : bench.value.read()) EXPECT_NEAR(w, 0.9, 1e-6);  // but stepped
}

TEST(Slices, OfManyTinyGradientsKeepTheNorm) {
  test::Options options;
  Bench bench("sgd", options, Numbers(size), bench::whole(size));
  Numbers g(size, 1e-6f);
  g[0] = 1e3f;
  bench.gradient.write(g);
  const double tiny = double{1e-6f} * double{1e-6f};
  EXPECT_NEAR(bench.squared_norm() - 1e6, tiny * (size - 1), 1e-9);
}

TEST(Slices, WithoutDecayAreNotDecayed) {
  for (const char* kind : {"adamw", "sgd"}) {
    test::Options options{{"weight_decay", 0.5}};
    Bench bench(kind, options, Numbers(8, 1.f), {{"a", 0, 3}, {"b", 3, 5, GRPO_SLICE_NO_DECAY}});
    bench.step(1, 0.1);  // gradients are zero
    EXPECT_EQ(bench.value.read(), (Numbers{0.95f, 0.95f, 0.95f, 1, 1, 1, 1, 1})) << kind;
  }
}

TEST(Slices, NameTheirState) {
  test::Options options;
  Bench bench("adamw", options, Numbers(8), {{"a.weight", 0, 3}, {"a.weight", 3, 5}}, Type::bf16);
  std::vector<std::string> names;
  for (const auto* named : bench.listed()) names.push_back(named->name);
  EXPECT_THAT(names, testing::ElementsAre("a.weight@0.exp_avg", "a.weight@0.exp_avg_sq", "a.weight@0.master",
                                          "a.weight@3.exp_avg", "a.weight@3.exp_avg_sq", "a.weight@3.master"));
  Bench plain("sgd", options, Numbers(8), {{"a.weight", 0, 8}});
  EXPECT_TRUE(plain.state().empty());
  EXPECT_TRUE(bench.table->flags & GRPO_OPTIMIZER_ELEMENTWISE);
}

TEST(Slices, RestoredStepWithTheSameBits) {
  for (const Case& c : cases) {
    test::Options options(c.options);
    const std::vector<Piece> pieces{{"w", 0, 70'000}, {"w", 70'000, size - 70'000}};
    Bench through(c.kind, options, bench::numbers(5, size), pieces, c.type, c.gradient);
    for (int step = 1; step <= 3; ++step) {
      through.gradient.write(gradient(step));
      through.step(step, 0.01);
    }
    const auto state = through.state();
    Bench restored(c.kind, options, through.value.read(), pieces, c.type, c.gradient);
    restored.restore(state);
    for (int step = 4; step <= 6; ++step)
      for (Bench* b : {&through, &restored}) {
        b->gradient.write(gradient(step));
        b->step(step, 0.01);
      }
    EXPECT_EQ(restored.value.read(), through.value.read()) << c.kind;
    EXPECT_EQ(restored.state(), through.state()) << c.kind;
  }
}

TEST(Slices, FollowValuesThatSomebodyElseWrote) {
  test::Options options;
  Bench bench("adamw", options, Numbers(8, 1.f), bench::whole(8), Type::bf16);
  bench.step(1, 0.1);
  bench.value.write(Numbers(8, 3.f));  // weights were imported
  bench.gradient.write(Numbers(8, 1.f));
  bench.step(2, 0.1);
  for (const float w : bench.value.read()) EXPECT_NEAR(w, 3, 0.1);
}

TEST(Slices, KeepStepsThatAreSmallerThanARounding) {
  test::Options options;
  Bench bench("sgd", options, Numbers(4, 1.f), bench::whole(4), Type::bf16);
  bench.gradient.write(Numbers(4, 1.f));
  for (int step = 1; step <= 100; ++step) bench.step(step, 1e-4);  // bf16 steps by 2^-8 below 1
  for (const float w : bench.value.read()) EXPECT_NEAR(w, 0.99, 2e-3);
}

}  // namespace
