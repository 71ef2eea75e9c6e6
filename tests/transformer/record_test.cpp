// Training on a rollout that was recorded while it was sampled, against computing everything again.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "support.hpp"

namespace grpo::test {
namespace {

Model open(const std::string& name, double activation_gib) {
  return Model({{"path", (models() / name).string()}, {"activation_gib", activation_gib}});
}

// Two prompts, of which the second is prefilled in two chunks, and four completions of each.
struct Rollout {
  Batch batch;
  std::vector<float> logprob;  // as sampled
};

Rollout sample(Model& model, double temperature, double penalty = 0) {
  std::mt19937 random(4);
  const std::vector<std::vector<std::int32_t>> prompts{random_tokens(random, 37), random_tokens(random, 16)};
  Session session(model, 8, 400);
  session.prefill({0}, {prompts[0]}, GRPO_PREFILL_TRAIN);
  session.prefill({4}, {{prompts[1].begin(), prompts[1].begin() + 9}}, GRPO_PREFILL_TRAIN);
  session.prefill({4}, {{prompts[1].begin() + 9, prompts[1].end()}}, GRPO_PREFILL_TRAIN);
  session.fork(0, {1, 2, 3});
  session.fork(4, {5, 6, 7});
  const std::vector<std::int64_t> slots{0, 1, 2, 3, 4, 5, 6, 7};
  auto how = sampling(temperature, 20);
  how.repetition_penalty = penalty;
  session.assign(slots, {11, 12, 13, 14, 15, 16, 17, 18}, how);
  session.step(slots, 1, {}, GRPO_STEP_PEEK, true);  // must leave no trace
  const auto rows = session.run(slots, 8);
  Rollout rollout;
  rollout.batch.temperature = temperature;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i % 4 == 0) rollout.batch.add(-1, prompts[i / 4]);
    const auto node = rollout.batch.add(static_cast<std::int64_t>(i / 4 * 5), rows[i].token);
    const auto begin = rollout.batch.node_start[static_cast<std::size_t>(node)];
    const auto root_end = rollout.batch.node_start[i / 4 * 5 + 1];
    for (std::size_t t = 0; t < rows[i].token.size(); ++t)
      rollout.batch.score(t == 0 ? root_end - 1 : begin + static_cast<std::int64_t>(t) - 1, rows[i].token[t]);
    rollout.logprob.insert(rollout.logprob.end(), rows[i].logprob.begin(), rows[i].logprob.end());
  }
  return rollout;
}

void expect_near(const std::vector<float>& a, const std::vector<float>& b, double tolerance, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], tolerance) << what << " " << i;
}

double greatest(const std::vector<float>& x) {
  double most = 0;
  for (const float v : x) most = std::max(most, std::fabs(static_cast<double>(v)));
  return most;
}

void expect_equal_gradients(Model& model, Model& plain) {
  const auto expected = plain.gradients();
  for (const auto& [name, gradient] : model.gradients()) {
    ASSERT_GT(greatest(gradient), 0) << name;
    // Decoding adds an adapter to the weights, training to the product.
    const double tolerance = name.find(".lora_") == std::string::npos ? 2e-5 : 2e-4;
    expect_near(gradient, expected.at(name), tolerance * greatest(expected.at(name)), name);
  }
}

// Forward and backward of both models over the batch; the plain one records nothing. Returns the share recorded.
double expect_equal(Model& model, Model& plain, const Batch& batch) {
  const auto a = model.forward(batch, true), b = plain.forward(batch, true);
  EXPECT_EQ(b.metrics.count("recorded"), 0u) << "nothing to say where nothing is recorded";
  expect_near(a.logprob, b.logprob, 5e-5, "log-probability");
  expect_near(a.entropy, b.entropy, 5e-5, "entropy");
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  std::vector<float> dlogprob(a.logprob.size()), dentropy(a.logprob.size());
  for (auto& d : dlogprob) d = normal(random);
  for (auto& d : dentropy) d = 0.1f * normal(random);
  for (auto* m : {&model, &plain}) m->zero_grad();
  model.backward(a.ticket, dlogprob, dentropy);
  plain.backward(b.ticket, dlogprob, dentropy);
  expect_equal_gradients(model, plain);
  return a.metrics.at("recorded");
}

void expect_equal(Model& model, Model& plain, const Batch& batch, double recorded) {
  EXPECT_EQ(expect_equal(model, plain, batch), recorded);
}

class Recorded : public testing::TestWithParam<std::string> {};

TEST_P(Recorded, TrainsAsIfComputedAgain) {
  Model model = open(GetParam(), 0.1), plain = open(GetParam(), 0);
  const auto rollout = sample(model, 0.7);
  expect_equal(model, plain, rollout.batch, 1);
  EXPECT_EQ(model.forward(rollout.batch).logprob, rollout.logprob) << "bit for bit what was sampled";
}

INSTANTIATE_TEST_SUITE_P(Models, Recorded, testing::ValuesIn(model_names()),
                         [](const auto& info) { return info.param; });

TEST(Record, HoldsUntilTheWeightsChange) {
  Model model = open("qwen3", 0.1), plain = open("qwen3", 0);
  const auto rollout = sample(model, 1);
  model.commit();
  expect_equal(model, plain, rollout.batch, 0);
  sample(model, 1);
  expect_equal(model, plain, rollout.batch, 1);
}

TEST(Record, IsLeftForPathsItDoesNotHave) {
  Model model = open("qwen2", 0.1), plain = open("qwen2", 0);
  auto batch = sample(model, 1).batch;
  batch.token[3] = (batch.token[3] + 1) % 128;
  expect_equal(model, plain, batch, 0);
}

TEST(Record, ScoresAnewWhatItDidNotScore) {
  Model model = open("llama_bias", 0.1), plain = open("llama_bias", 0);
  auto batch = sample(model, 1).batch;
  batch.temperature = 0.6;
  expect_equal(model, plain, batch, 1);
  batch.temperature = 1;
  batch.target_token[5] = (batch.target_token[5] + 1) % 128;
  expect_equal(model, plain, batch, 1);
}

TEST(Record, KnowsThePlainDistributionUnderAPenalty) {
  Model model = open("mistral", 0.1), plain = open("mistral", 0);
  const auto rollout = sample(model, 1, 1.3);
  expect_equal(model, plain, rollout.batch, 1);
}

// From room for everything to room for little more than the layers' inputs.
TEST_P(Recorded, KeepsFewerLayersWhenItIsFull) {
  Model plain = open(GetParam(), 0);
  const auto tokens = static_cast<double>(sample(plain, 1).batch.token.size());
  const double whole = tokens / static_cast<double>(open(GetParam(), 1).info().rollout_tokens);
  double before = 1;
  for (const double part : {1.1, 0.8, 0.4}) {
    SCOPED_TRACE(part);
    Model model = open(GetParam(), part * whole);
    double share = 0;
    for (int rollout = 0; rollout < 3; ++rollout) {  // the first one gives layers up on its way
      share = expect_equal(model, plain, sample(model, 1).batch);
      model.commit();
    }
    EXPECT_GT(share, 0);
    EXPECT_LE(share, std::min(part, before));
    if (part > 1) {
      EXPECT_EQ(share, 1);
    }
    before = share;
  }
  EXPECT_LT(before, 0.5);
}

TEST(Record, IsGivenUpWhenFull) {
  Model model = open("qwen3", 3e-5), plain = open("qwen3", 0);
  const auto rollout = sample(model, 1);
  expect_equal(model, plain, rollout.batch, 0);
  model.commit();
  expect_equal(model, plain, sample(model, 1).batch, 0);
}

// A step in pieces, the weights unchanged between them: each is recorded where the one before was.
TEST(Record, HoldsThePieceAtHand) {
  constexpr double room_for_one = 7.5e-4;
  Model model = open("qwen3", room_for_one), plain = open("qwen3", 0);
  const auto tokens = static_cast<std::int64_t>(sample(plain, 1).batch.token.size());
  ASSERT_GE(model.info().rollout_tokens, tokens);
  ASSERT_LT(model.info().rollout_tokens, 2 * tokens);
  ASSERT_EQ(plain.info().rollout_tokens, 0);
  for (int piece = 0; piece < 3; ++piece) expect_equal(model, plain, sample(model, 1).batch, 1);
}

TEST(Record, StaysBetweenForwardAndBackward) {
  Model model = open("qwen3", 7.5e-4), plain = open("qwen3", 0);
  const auto rollout = sample(model, 1);
  const auto a = model.forward(rollout.batch, true), b = plain.forward(rollout.batch, true);
  ASSERT_EQ(a.metrics.at("recorded"), 1);
  sample(model, 0.7);
  const std::vector<float> dlogprob(a.logprob.size(), 1);
  model.backward(a.ticket, dlogprob);
  plain.backward(b.ticket, dlogprob);
  expect_equal_gradients(model, plain);
}

TEST(Record, IsNotMadeUnasked) {
  Model model = open("qwen3", 0.1), plain = open("qwen3", 0);
  std::mt19937 random(8);
  const auto prompt = random_tokens(random, 12);
  Session session(model, 1, 64);
  session.prefill({0}, {prompt});
  session.assign({0}, {1}, sampling(1, 4));
  const auto row = session.run({0}, 4)[0];
  Batch batch;
  batch.add(-1, prompt);
  batch.add(0, row.token);
  for (std::size_t t = 0; t < row.token.size(); ++t) batch.score(11 + static_cast<std::int64_t>(t), row.token[t]);
  expect_equal(model, plain, batch, 0);
}

}  // namespace
}  // namespace grpo::test
