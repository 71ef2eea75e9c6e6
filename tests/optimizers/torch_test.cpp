// The same 20 steps as torch.optim.AdamW and torch.optim.SGD.
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench.hpp"

namespace {

using bench::Bench;
using bench::Numbers;
using bench::Type;

nlohmann::json golden() {
  std::ifstream file(GRPO_TEST_DATA "/golden.json");
  return nlohmann::json::parse(file);
}

// check(what, ours, torch's) after each step that the golden data has.
template <class Check>
void run(Type value, Type gradient, Check&& check) {
  const auto all = golden();
  const auto n = all["n"].get<std::int64_t>();
  ASSERT_EQ(all["cases"].size(), 7u);
  for (const auto& one : all["cases"]) {
    const std::string kind = one["kind"];
    test::Options options(one["options"].get<std::map<std::string, double>>());
    Bench bench(kind, options, bench::numbers(1, n), bench::whole(n), value, gradient);
    for (int step = 1; step <= 20; ++step) {
      bench.gradient.write(bench::numbers(1000u + static_cast<std::uint32_t>(step), n));
      bench.step(step, bench::rate(step), one["gradient_scale"]);
      const auto kept = one["steps"].find(std::to_string(step));
      if (kept == one["steps"].end()) continue;
      check(kind + one["options"].dump() + " step " + std::to_string(step), bench, kept->get<Numbers>());
    }
  }
}

TEST(Torch, GivesTheSameInSinglePrecision) {
  double worst = 0;
  run(Type::fp32, Type::fp32, [&](const std::string& what, const Bench& bench, const Numbers& expected) {
    const Numbers ours = bench.value.read();
    for (std::size_t i = 0; i < ours.size(); ++i) {
      EXPECT_NEAR(ours[i], expected[i], 1e-6) << what << " element " << i;
      worst = std::max(worst, std::fabs(double{ours[i]} - double{expected[i]}));
    }
  });
  RecordProperty("worst", std::to_string(worst));
}

// The values are the roundings of a run in fp32: the master weights keep what rounding takes away.
void check_bf16(Type gradient) {
  run(Type::bf16, gradient, [&](const std::string& what, const Bench& bench, const Numbers& expected) {
    const Numbers ours = bench.value.read(), master = bench.state().at("w@0.master");
    int other = 0;
    for (std::size_t i = 0; i < ours.size(); ++i) {
      EXPECT_NEAR(master[i], expected[i], 1e-6) << what << " element " << i;
      EXPECT_EQ(ours[i], bench::from_bf16(bench::to_bf16(master[i]))) << what << " element " << i;
      other += ours[i] != bench::from_bf16(bench::to_bf16(expected[i]));  // a tie that 1e-6 decides
    }
    EXPECT_LE(other, 1) << what;
  });
}
TEST(Torch, GivesTheSameRoundedWhereValuesAreBf16) { check_bf16(Type::bf16); }
TEST(Torch, GivesTheSameRoundedWhereGradientsAreWider) { check_bf16(Type::fp32); }

}  // namespace
