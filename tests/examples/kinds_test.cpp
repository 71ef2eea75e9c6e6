// Optimizer, sampler and model in the author's form, built against the installed package: against formulas, against the
// plugins that ship, and together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "examples.hpp"
#include "grpo/sdk/error.hpp"
#include "line.hpp"

namespace grpo::plugins {
namespace {

const nlohmann::json tiny = {{"vocabulary", 64}, {"width", 8}, {"seed", 3}};
constexpr std::size_t elements = 64 * 8;

float* numbers(const Model& model, std::size_t parameter, bool gradient = false) {
  const grpo_parameter& p = *model.parameters()[parameter];
  return reinterpret_cast<float*>(data_of(gradient ? *p.gradient : *p.value));
}

// ---- optimizer-cpp

// The paper's formulas, in double, beside four steps of the plugin; `head` is spared the decay.
TEST(Kinds, OptimizerIsLion) {
  Registry registry = examples();
  Model model(registry, "bigram", tiny);
  Optimizer lion(registry, "lion", {{"beta1", 0.8}, {"beta2", 0.95}, {"weight_decay", 0.5}});
  lion.bind(model, [](const grpo_parameter& p) { return std::string(p.name) == "head.weight"; });
  constexpr double rate = 0.01, scale = 0.25;
  std::vector<double> w[2], m[2];
  for (std::size_t p : {0, 1}) {
    w[p].assign(numbers(model, p), numbers(model, p) + elements);
    m[p].assign(elements, 0);
  }
  int moved[3] = {};  // down, not at all, up: each must have happened
  for (int step = 1; step <= 4; ++step) {
    double square = 0;
    for (std::size_t p : {0, 1})
      for (std::size_t i = 0; i < elements; ++i) {
        float& g = numbers(model, p, true)[i];
        g = i % 5 == 0 ? 0.f : std::sin(static_cast<float>(i * static_cast<std::size_t>(step) + 7 * p));
        square += double{g} * double{g};
      }
    EXPECT_NEAR(lion.squared_norm(), square, 1e-12 * square);
    lion.step(step, rate, scale);
    for (std::size_t p : {0, 1})
      for (std::size_t i = 0; i < elements; ++i) {
        const double g = scale * double{numbers(model, p, true)[i]}, mean = 0.8 * m[p][i] + 0.2 * g;
        const int sign = (mean > 0) - (mean < 0);
        ++moved[1 - sign];
        w[p][i] -= rate * (sign + (p == 0 ? 0.5 : 0) * w[p][i]);
        m[p][i] = 0.95 * m[p][i] + 0.05 * g;
        ASSERT_NEAR(double{numbers(model, p)[i]}, w[p][i], 1e-6) << p << " " << step << " " << i;
      }
  }
  for (const int times : moved) EXPECT_GT(times, 100);
  ASSERT_EQ(lion.state().size(), 2u);
  EXPECT_STREQ(lion.state()[0]->name, "embed.weight@0.exp_avg");
}

TEST(Kinds, OptimizerRefusesAGradientThatIsNotFinite) {
  Registry registry = examples();
  Model model(registry, "bigram", tiny);
  Optimizer lion(registry, "lion", nullptr);
  lion.bind(model);
  const std::vector<float> before(numbers(model, 1), numbers(model, 1) + elements);
  numbers(model, 1, true)[200] = NAN;
  try {
    lion.step(1, 0.1, 1);
    FAIL() << "it was stepped";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), testing::AllOf(testing::HasSubstr("plugin 'lion'"), testing::HasSubstr("head.weight"),
                                         testing::HasSubstr("element 200")));
  }
  EXPECT_EQ(std::vector<float>(numbers(model, 1), numbers(model, 1) + elements), before);
}

// ---- sampler-cpp

using Completions = std::map<std::pair<std::uint64_t, std::int64_t>, Completion>;

Completions completions_of(Registry& registry, Model& model, const char* sampler_name) {
  Sampler sampler(registry, sampler_name, {{"room", 5}});
  sampler.bind(model);
  sampler.update_weights(model, 7);
  const auto sampling = std::make_shared<Sampling>(Sampling{.temperature = 0.9, .max_new = 23, .stop = {0, 1}});
  const auto greedy = std::make_shared<Sampling>(Sampling{.temperature = 0, .max_new = 9});
  std::vector<Request> requests{{1, 11, {5, 6, 7}, 6, sampling}, {2, 12, {8}, 1, greedy}, {3, 13, {9, 9}, 4, sampling}};
  Completions done;
  sampler.generate(std::move(requests), [&](Completion c) {
    const auto name = std::pair{c.request, c.index};
    EXPECT_TRUE(done.emplace(name, std::move(c)).second);
  });
  return done;
}

// Draws depend on keys alone, so two samplers that keep the contract give the same completions.
TEST(Kinds, SamplerAgreesWithTheOneThatShips) {
  Registry registry = examples();
  registry.add_directory(GRPO_PLUGIN_DIR);
  Model model(registry, "bigram", tiny);
  const Completions plain = completions_of(registry, model, "plain"), local = completions_of(registry, model, "local");
  ASSERT_EQ(plain.size(), 11u);
  ASSERT_EQ(local.size(), 11u);
  int stopped = 0;
  for (const auto& [name, c] : plain) {
    const Completion& other = local.at(name);
    EXPECT_EQ(c.ids, other.ids);
    EXPECT_EQ(c.logprob, other.logprob);
    EXPECT_EQ(c.logprob_sampled, other.logprob_sampled);
    EXPECT_EQ(c.finish, other.finish);
    EXPECT_EQ(c.version, 7);
    stopped += c.finish == GRPO_FINISH_STOP;
  }
  EXPECT_GT(stopped, 0);
  EXPECT_LT(stopped, 11);
}

TEST(Kinds, SamplerDeliversWhatWasCancelled) {
  Registry registry = examples();
  Model model(registry, "bigram", tiny);
  Sampler sampler(registry, "plain", {{"room", 1}});
  sampler.bind(model);
  const auto sampling = std::make_shared<Sampling>(Sampling{.max_new = 20});
  const auto other = std::make_shared<Sampling>(Sampling{.max_new = 3});
  std::vector<Completion> done;
  sampler.generate({{1, 11, {5}, 2, other}, {2, 12, {6}, 3, sampling}}, [&](Completion c) {
    if (c.request == 1) sampler.cancel(2);
    done.push_back(std::move(c));
  });
  ASSERT_EQ(done.size(), 5u);
  for (const Completion& c : done) {
    EXPECT_EQ(c.finish, c.request == 1 ? GRPO_FINISH_LENGTH : GRPO_FINISH_CANCELLED);
    EXPECT_EQ(c.ids.size(), c.request == 1 ? 3u : 0u);
  }
}

// ---- model-cpp

// The gradient of a loss over log-probabilities and entropies, beside its differences.
TEST(Kinds, ModelHasTheGradientOfItsForward) {
  Registry registry = examples();
  Model model(registry, "bigram", tiny);
  Forest forest;
  const std::vector<std::int32_t> prompt{5, 6}, a{7, 7, 0}, b{9};
  const auto root = forest.add(Forest::root, prompt);
  forest.add_scored(root, a);
  forest.add_scored(root, b);
  constexpr double temperature = 0.7;
  const std::vector<float> dlogprob{0.5f, -1.f, 0.25f, 2.f}, dentropy{0.1f, 0.f, -0.4f, 0.3f};
  std::vector<float> logprob(4), entropy(4);
  const auto loss = [&] {
    model.forward(forest, temperature, logprob, entropy, false);
    double sum = 0;
    for (std::size_t k = 0; k < 4; ++k)
      sum += double{dlogprob[k]} * double{logprob[k]} + double{dentropy[k]} * double{entropy[k]};
    return sum;
  };
  model.zero_grad();
  model.backward(model.forward(forest, temperature, logprob, entropy, true), dlogprob, dentropy);
  for (const auto& [parameter, token] : {std::pair{0, 6}, {0, 7}, {1, 7}, {1, 0}, {1, 33}})
    for (const int k : {0, 5}) {
      const auto i = static_cast<std::size_t>(token * 8 + k), p = static_cast<std::size_t>(parameter);
      float& x = numbers(model, p)[i];
      const float before = x;
      x = before + 0.01f;
      const double above = loss(), step_up = double{x} - double{before};
      x = before - 0.01f;
      const double below = loss(), step = step_up + double{before} - double{x};
      x = before;
      EXPECT_NEAR(double{numbers(model, p, true)[i]}, (above - below) / step, 1e-4) << parameter << " " << token;
    }
}

TEST(Kinds, ModelGivesItsWeightsAndTakesThem) {
  Registry registry = examples();
  Model from(registry, "bigram", tiny), to(registry, "bigram", {{"vocabulary", 64}, {"width", 8}, {"seed", 4}});
  struct Source final : TensorSource {
    std::map<std::string, std::pair<grpo_tensor, std::vector<char>>> all;
    std::vector<std::string> names() const override { return {"embed.weight", "head.weight"}; }
    const grpo_tensor* get(const std::string& name) override {
      const auto at = all.find(name);
      return at == all.end() ? nullptr : &at->second.first;
    }
  } source;
  from.export_weights([&](const std::string& name, const grpo_tensor& t) { source.all[name].first = t; });
  EXPECT_NE(std::memcmp(numbers(from, 0), numbers(to, 0), sizeof(float) * elements), 0);
  to.import_weights(1, source);
  for (std::size_t p : {0, 1}) EXPECT_EQ(std::memcmp(numbers(from, p), numbers(to, p), sizeof(float) * elements), 0);
  source.all.erase("head.weight");
  try {
    to.import_weights(2, source);
    FAIL() << "it was imported";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), testing::HasSubstr("head.weight"));
  }
}

TEST(Kinds, ModelSamplerAndOptimizerLearnTogether) {
  Registry registry = examples();
  registry.add_directory(FAKES);
  expect_learning(registry, "plain", "lion", {.model = "bigram", .options = tiny, .rate = 0.05});
}

}  // namespace
}  // namespace grpo::plugins
