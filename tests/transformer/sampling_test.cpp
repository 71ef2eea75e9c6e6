// The rules of grpo_sampling against a plain reading of them in double, on the logits of a model.
#include <grpo/random.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "support.hpp"

namespace grpo::test {
namespace {

// The distribution that decode.h describes.
std::vector<double> distribution(const grpo_sampling& s, const std::vector<float>& logits,
                                 const std::vector<std::int32_t>& sequence, std::int64_t n_new) {
  std::vector<double> z(logits.begin(), logits.end());
  if (s.repetition_penalty > 0)
    for (std::size_t v = 0; v < z.size(); ++v)
      if (std::count(sequence.begin(), sequence.end(), static_cast<std::int32_t>(v)))
        z[v] = z[v] > 0 ? z[v] / s.repetition_penalty : z[v] * s.repetition_penalty;
  for (int i = 0; i < s.n_stop && n_new < s.min_new; ++i) z[static_cast<std::size_t>(s.stop[i])] = -INFINITY;
  std::vector<std::size_t> order(z.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return z[a] > z[b]; });
  std::vector<double> p(z.size(), 0);
  if (s.temperature == 0) {
    p[order[0]] = 1;
    return p;
  }
  if (s.top_k > 0) order.resize(std::min(order.size(), static_cast<std::size_t>(s.top_k)));
  const double top = z[order[0]];
  const auto weight = [&](std::size_t v) { return std::exp((z[v] - top) / s.temperature); };
  const auto total = [&] {
    double sum = 0;
    for (const auto v : order) sum += weight(v);
    return sum;
  };
  if (s.top_p > 0 && s.top_p < 1) {
    const double all = total();
    double reached = 0;
    std::size_t n = 0;
    while (n < order.size() && reached < s.top_p * all) reached += weight(order[n++]);
    order.resize(n);
  }
  if (s.min_p > 0)
    order.erase(std::remove_if(order.begin(), order.end(), [&](std::size_t v) { return weight(v) < s.min_p; }),
                order.end());
  const double all = total();
  for (const auto v : order) p[v] = weight(v) / all;
  return p;
}

class SamplingRules : public testing::TestWithParam<int> {};

TEST_P(SamplingRules, AreFollowedTokenByToken) {
  const std::int32_t stop[] = {17, 40, 63};
  grpo_sampling s = sampling(0.8, 0);
  switch (GetParam()) {
    case 0:
      break;
    case 1:
      s.top_k = 5;
      break;
    case 2:
      s.top_p = 0.6;
      break;
    case 3:
      s.min_p = 0.2;
      break;
    case 4:
      s.repetition_penalty = 1.7;
      break;
    case 5:
      s.top_k = 20, s.top_p = 0.8, s.min_p = 0.05, s.repetition_penalty = 1.2;
      break;
    case 6:
      s.temperature = 0, s.repetition_penalty = 1.5;
      break;
    case 7:
      s.min_new = 60, s.n_stop = 3, s.stop = stop, s.temperature = 3;
      break;
    case 8:
      s.top_p = 0.999, s.temperature = 2;
      break;
    case 9:
      s.top_k = 1;
      break;
    default:
      FAIL();
  }
  Model model({{"path", (models() / "llama_tied").string()}, {"threads", 1}});
  Session session(model, 1, 128);
  std::vector<std::int32_t> sequence{9, 8, 7, 6};
  session.prefill({0}, {sequence});
  const std::uint64_t key = grpo_random_key(1234, static_cast<std::uint64_t>(GetParam()));
  session.assign({0}, {key}, s);
  for (int i = 0; i < 60; ++i) {
    const auto row = session.step({0}, 1, {}, 0, true)[0];
    const auto p = distribution(s, row.logits, sequence, i);
    const double u = grpo_random_uniform(key, sequence.size());
    double sum = 0;
    std::int32_t expected = -1;
    double nearest = 1;  // how near u is to a boundary between tokens
    for (std::size_t v = 0; v < p.size(); ++v) {
      sum += p[v];
      nearest = std::min(nearest, std::abs(sum - u));
      if (expected < 0 && sum > u) expected = static_cast<std::int32_t>(v);
    }
    ASSERT_EQ(row.token.size(), 1u);
    const auto token = static_cast<std::size_t>(row.token[0]);
    if (nearest > 1e-5) {
      ASSERT_EQ(row.token[0], expected) << i;
    }
    ASSERT_GT(p[token], 0) << i;
    ASSERT_NEAR(row.logprob_sampled[0], std::log(p[token]), 1e-4) << i;
    const double t = s.temperature > 0 ? s.temperature : 1;
    double all = 0;
    for (const float z : row.logits) all += std::exp(z / t);
    ASSERT_NEAR(row.logprob[0], row.logits[token] / t - std::log(all), 1e-5) << i;
    sequence.push_back(row.token[0]);
  }
}

INSTANTIATE_TEST_SUITE_P(Rules, SamplingRules, testing::Range(0, 10));

TEST(SamplingForced, OutsideTheDistributionIsMinusInfinity) {
  Model model({{"path", (models() / "llama_tied").string()}, {"threads", 1}});
  Session session(model, 1, 64);
  session.prefill({0}, {{1, 2, 3}});
  auto s = sampling(1, 0);
  s.top_k = 1;
  session.assign({0}, {1}, s);
  const auto logits = session.step({0}, 1, {}, GRPO_STEP_PEEK, true)[0].logits;
  const auto least = static_cast<std::int32_t>(std::min_element(logits.begin(), logits.end()) - logits.begin());
  const auto row = session.step({0}, 1, {least})[0];
  EXPECT_EQ(row.token[0], least);
  EXPECT_EQ(row.logprob_sampled[0], -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isfinite(row.logprob[0]));
}

TEST(SamplingRequest, StopTextsAreTheSamplers) {
  Model model({{"path", (models() / "llama_tied").string()}, {"threads", 1}});
  Session session(model, 1, 64);
  session.prefill({0}, {{1, 2, 3}});
  auto s = sampling(1, 0);
  const grpo_str text{"x", 1};
  s.n_stop_text = 1;
  s.stop_text = &text;
  try {
    session.assign({0}, {1}, s);
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_EQ(std::string(e.what()).substr(0, 2), "3:");
  }
}

}  // namespace
}  // namespace grpo::test
