// Draws follow the distribution that the options ask for: 200,000 draws with a fixed seed, Pearson's chi-square.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "bench.hpp"

namespace {

using bench::Bench;

const std::vector<int32_t> prompt{11, 5, 11};
constexpr int64_t draws = 200'000;

// The distribution in plain steps, from log-probabilities at temperature 1.
std::vector<double> target(Bench& bench, const grpo_sampling& s) {
  std::vector<double> z;
  for (int32_t v = 0; v < 64; ++v) z.push_back(double{bench.logprobs(prompt, {v}, 1).at(0)});
  std::vector<double> p(64);
  double sum = 0;
  for (std::size_t v = 0; v < 64; ++v) sum += p[v] = std::exp(z[v] / s.temperature);
  std::vector<std::size_t> order(64);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return p[a] > p[b]; });
  const auto keep = [&](std::size_t n) {
    for (std::size_t i = n; i < order.size(); ++i) p[order[i]] = 0;
    order.resize(n);
    sum = std::accumulate(p.begin(), p.end(), 0.0);
  };
  if (s.top_k > 0) keep(static_cast<std::size_t>(s.top_k));
  if (s.top_p > 0) {
    double reached = 0;
    std::size_t n = 0;
    while (n < order.size() && reached < s.top_p) reached += p[order[n++]] / sum;
    keep(n);
  }
  if (s.min_p > 0) {
    std::size_t n = order.size();
    while (n > 1 && p[order[n - 1]] < s.min_p * p[order[0]]) --n;
    keep(n);
  }
  for (double& x : p) x /= sum;
  return p;
}

void check(const grpo_sampling& s, std::size_t most_support) {
  Bench bench({.model = {{"scale", 2}}});
  const auto p = target(bench, s);
  std::vector<double> seen(64);
  const auto done = bench.generate({{1, 20261120, prompt, draws, &s}});
  ASSERT_EQ(done.size(), static_cast<std::size_t>(draws));
  for (const auto& [name, c] : done) {
    ASSERT_EQ(c.ids.size(), 1u);
    const auto id = static_cast<std::size_t>(c.ids[0]);
    ++seen[id];
    ASSERT_NEAR(c.sampled[0], std::log(p[id]), 1e-5);
  }
  double chi_square = 0;
  std::size_t support = 0;
  for (std::size_t v = 0; v < 64; ++v) {
    if (p[v] == 0) {
      EXPECT_EQ(seen[v], 0) << v;
      continue;
    }
    const double expected = p[v] * double{draws};
    ASSERT_GT(expected, 5);
    chi_square += (seen[v] - expected) * (seen[v] - expected) / expected;
    ++support;
  }
  EXPECT_LE(support, most_support);
  ASSERT_GT(support, 4u);
  // The 99.9th percentile of chi-square by Wilson and Hilferty's approximation.
  const double k = static_cast<double>(support - 1), a = 2 / (9 * k);
  EXPECT_LT(chi_square, k * std::pow(1 - a + 3.09 * std::sqrt(a), 3)) << "support " << support;
}

TEST(Distribution, IsThatOfTheTemperature) {
  auto s = bench::sampling(1);
  s.temperature = 1.3;
  check(s, 64);
}

TEST(Distribution, IsCutByTopKThenTopPThenMinP) {
  auto s = bench::sampling(1);
  s.temperature = 0.9;
  s.top_k = 40;
  s.top_p = 0.9;
  s.min_p = 0.1;
  check(s, 39);
}

}  // namespace
