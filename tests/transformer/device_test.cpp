// What a GPU runs in bf16, decoding and scoring, held against itself: a completion's log-probabilities as they came
// with its tokens, and as forward gives them for the finished text. Attention is another kernel in each of the two, and
// in prompts, forked slots and windows another again. Without a GPU the same path runs on the CPU, by plain operations.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "support.hpp"

namespace grpo::test {
namespace {

using nlohmann::json;

struct Group {
  std::vector<std::int32_t> prompt;
  std::int64_t completions;
};

struct Difference {
  double worst = 0, mean = 0;
};

// Every group is a prompt and its forks; all are decoded at once, `room` tokens a step, then scored as one forest.
Difference decoded_and_scored(Model& model, const std::vector<Group>& groups, std::int64_t tokens, std::int64_t room) {
  std::int64_t slots = 0, cached = 0;
  for (const auto& g : groups) {
    slots += g.completions;
    cached += static_cast<std::int64_t>(g.prompt.size()) + g.completions * tokens;
  }
  Session session(model, slots, cached + slots * room);
  std::vector<std::int64_t> all, homes;
  std::vector<std::vector<std::int32_t>> prompts;
  for (const auto& g : groups) {
    homes.push_back(static_cast<std::int64_t>(all.size()));
    prompts.push_back(g.prompt);
    for (std::int64_t i = 0; i < g.completions; ++i) all.push_back(static_cast<std::int64_t>(all.size()));
  }
  session.prefill(homes, prompts);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    std::vector<std::int64_t> others;
    for (std::int64_t i = 1; i < groups[g].completions; ++i) others.push_back(homes[g] + i);
    if (!others.empty()) session.fork(homes[g], others);
  }
  std::vector<std::uint64_t> keys(all.begin(), all.end());
  session.assign(all, keys, sampling(1, static_cast<std::int32_t>(tokens)));
  const auto rows = session.run(all, room);

  Batch batch;
  std::vector<float> decoded;
  std::size_t row = 0;
  for (const auto& g : groups) {
    const auto root = batch.add(-1, g.prompt);
    const auto last = batch.node_start.back() - 1;
    for (std::int64_t i = 0; i < g.completions; ++i, ++row) {
      const auto begin = batch.node_start.back();
      batch.add(root, rows[row].token);
      for (std::size_t t = 0; t < rows[row].token.size(); ++t)
        batch.score(t == 0 ? last : begin + static_cast<std::int64_t>(t) - 1, rows[row].token[t]);
      decoded.insert(decoded.end(), rows[row].logprob.begin(), rows[row].logprob.end());
    }
  }
  const auto scores = model.forward(batch);
  EXPECT_EQ(decoded.size(), static_cast<std::size_t>(slots * tokens));
  Difference d;
  for (std::size_t i = 0; i < decoded.size(); ++i) {
    const double one = std::abs(static_cast<double>(decoded[i]) - scores.logprob[i]);
    EXPECT_TRUE(std::isfinite(one)) << i;
    d.worst = std::max(d.worst, one);
    d.mean += one / static_cast<double>(decoded.size());
  }
  return d;
}

void expect_decoding_is_scoring(const json& where) {
  for (const auto* name : {"qwen3", "qwen3_bias", "qwen2_window", "mistral_window"}) {
    json options{{"path", (models() / name).string()}, {"dtype", "bfloat16"}};
    options.update(where);
    Model model(options);
    std::mt19937 random(1);
    // Two prompts of other lengths; and one so long and so often forked that its slots are not gathered all at once.
    const auto few = decoded_and_scored(model, {{random_tokens(random, 37), 4}, {random_tokens(random, 16), 3}}, 40, 7);
    EXPECT_LT(few.worst, 0.25) << name;
    EXPECT_LT(few.mean, 0.03) << name;
    const auto many = decoded_and_scored(model, {{random_tokens(random, 110), 40}}, 8, 8);
    EXPECT_LT(many.worst, 0.25) << name;
    EXPECT_LT(many.mean, 0.03) << name;
    Session session(model, 1, 10);
    EXPECT_TRUE(session.step({}, 4).empty()) << "no slots are no error";
  }
}

TEST(DeviceBfloat16, DecodingIsScoringOnTheCpu) { expect_decoding_is_scoring({{"kernels", "portable"}}); }

TEST(DeviceBfloat16Cuda, DecodingIsScoring) {
  const json there{{"device", "cuda"}};
  json one{{"path", (models() / "qwen3").string()}};
  one.update(there);
  if (const auto error = open_error(one); !error.empty()) GTEST_SKIP() << error;
  expect_decoding_is_scoring(there);
  expect_decoding_is_scoring({{"device", "cuda"}, {"kernels", "portable"}});
}

// The same kernels in the same order: the same bits.
TEST(DeviceBfloat16Cuda, RecordedStepsAreSteps) {
  json options{{"path", (models() / "qwen3").string()}, {"device", "cuda"}, {"dtype", "bfloat16"}};
  if (const auto error = open_error(options); !error.empty()) GTEST_SKIP() << error;
  std::vector<std::vector<Session::Row>> made;
  for (const bool graphs : {true, false}) {
    options["cuda_graphs"] = graphs;
    Model model(options);
    std::mt19937 random(1);
    Session session(model, 4, 400);
    session.prefill({0}, {random_tokens(random, 37)});
    session.fork(0, {1, 2, 3});
    session.assign({0, 1, 2, 3}, {5, 6, 7, 8}, sampling(1, 40));
    made.push_back(session.run({0, 1, 2, 3}, 16));
  }
  for (std::size_t r = 0; r < 4; ++r) {
    EXPECT_EQ(made[0][r].token, made[1][r].token);
    EXPECT_EQ(made[0][r].logprob, made[1][r].logprob);
  }
}

}  // namespace
}  // namespace grpo::test
