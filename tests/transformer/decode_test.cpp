// Decoding against transformers (greedy), against forward (log-probabilities), and against itself in every other
// grouping.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "support.hpp"

namespace grpo::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json options(const std::string& name, const std::string& kernels) {
  return {{"path", (models() / name).string()}, {"kernels", kernels}};
}

// model, kernels
class Decode : public testing::TestWithParam<std::tuple<std::string, std::string>> {
 protected:
  Decode() : model_(options(std::get<0>(GetParam()), std::get<1>(GetParam()))) {}
  Model model_;
};

TEST_P(Decode, GreedyEqualsTransformers) {
  const auto expected = golden(std::get<0>(GetParam()))["greedy"];
  Session session(model_, 1, 64);
  session.prefill({0}, {expected["prompt"].get<std::vector<std::int32_t>>()});
  session.assign({0}, {0}, sampling(0, 32));
  const auto rows = session.run({0}, 5);
  EXPECT_EQ(rows[0].token, expected["continuation"].get<std::vector<std::int32_t>>());
  EXPECT_EQ(rows[0].ended, GRPO_FINISH_LENGTH);
  for (const float p : rows[0].logprob_sampled) EXPECT_EQ(p, 0.0f);
}

// Two prompts, forked into groups, sampled, then scored by forward as a forest.
TEST_P(Decode, LogProbabilitiesEqualForward) {
  std::mt19937 random(1);
  const std::vector<std::vector<std::int32_t>> prompts{random_tokens(random, 37), random_tokens(random, 16)};
  Session session(model_, 8, 400);
  session.prefill({0, 4}, prompts);
  session.fork(0, {1, 2, 3});
  session.fork(4, {5, 6, 7});
  const std::vector<std::int64_t> slots{0, 1, 2, 3, 4, 5, 6, 7};
  session.assign(slots, {11, 12, 13, 14, 15, 16, 17, 18}, sampling(0.7, 40));
  const auto rows = session.run(slots, 8);
  Batch batch;
  batch.temperature = 0.7;
  std::vector<float> expected, sampled;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i % 4 == 0) batch.add(-1, prompts[i / 4]);
    const auto node = batch.add(static_cast<std::int64_t>(i / 4 * 5), rows[i].token);
    const auto begin = batch.node_start[static_cast<std::size_t>(node)];
    const auto root_end = batch.node_start[i / 4 * 5 + 1];
    for (std::size_t t = 0; t < rows[i].token.size(); ++t)
      batch.score(t == 0 ? root_end - 1 : begin + static_cast<std::int64_t>(t) - 1, rows[i].token[t]);
    expected.insert(expected.end(), rows[i].logprob.begin(), rows[i].logprob.end());
    sampled.insert(sampled.end(), rows[i].logprob_sampled.begin(), rows[i].logprob_sampled.end());
  }
  const auto scores = model_.forward(batch);
  ASSERT_EQ(scores.logprob.size(), 8u * 40u);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(scores.logprob[i], expected[i], 5e-5) << i;
    ASSERT_NEAR(sampled[i], expected[i], 1e-5) << i << ": nothing is truncated";
  }
  EXPECT_NE(rows[0].token, rows[1].token) << "keys differ";
}

std::string decode_name(const testing::TestParamInfo<Decode::ParamType>& info) {
  return std::get<0>(info.param) + "_" + std::get<1>(info.param);
}

INSTANTIATE_TEST_SUITE_P(Models, Decode,
                         testing::Combine(testing::ValuesIn(model_names()), testing::Values("auto", "portable")),
                         decode_name);

TEST(DecodeBfloat16, LogProbabilitiesStayNearForward) {
  auto o = options("qwen3", "auto");
  o["dtype"] = "bfloat16";
  Model model(o);
  Session session(model, 2, 100);
  session.prefill({0}, {{1, 2, 3, 4, 5}});
  session.fork(0, {1});
  session.assign({0, 1}, {5, 6}, sampling(1, 20));
  for (const auto& row : session.run({0, 1}, 4)) {
    Batch batch;
    batch.add(-1, {1, 2, 3, 4, 5});
    batch.add(0, row.token);
    for (std::size_t t = 0; t < row.token.size(); ++t) batch.score(4 + static_cast<std::int64_t>(t), row.token[t]);
    const auto scores = model.forward(batch);
    for (std::size_t t = 0; t < row.token.size(); ++t) ASSERT_NEAR(scores.logprob[t], row.logprob[t], 0.25);
  }
}

// With fixed-order arithmetic a completion is a function of its own tokens and key: bit for bit the same alone, among
// others, in other chunks and with other room.
TEST(DecodeExact, DependsOnNothingElse) {
  Model model(options("llama_bias", "auto"));
  std::mt19937 random(2);
  const auto prompt = random_tokens(random, 45);
  const auto alone = [&](std::int64_t room, std::size_t chunk) {
    Session session(model, 1, 128);
    for (std::size_t at = 0; at < prompt.size(); at += chunk)
      session.prefill({0}, {{prompt.begin() + static_cast<std::ptrdiff_t>(at),
                             prompt.begin() + static_cast<std::ptrdiff_t>(std::min(prompt.size(), at + chunk))}});
    session.assign({0}, {77}, sampling(1, 50));
    return session.run({0}, room)[0];
  };
  const auto expected = alone(1, 100);
  ASSERT_EQ(expected.token.size(), 50u);
  for (const auto& other : {alone(8, 100), alone(64, 1), alone(3, 7)}) {
    EXPECT_EQ(other.token, expected.token);
    EXPECT_EQ(other.logprob, expected.logprob);
    EXPECT_EQ(other.logprob_sampled, expected.logprob_sampled);
  }
  // Among 30 others that come and go, and as a fork of a fork.
  Session session(model, 40, 4000);
  for (std::int64_t i = 0; i < 30; ++i) session.prefill({i}, {random_tokens(random, 1 + random() % 50)});
  session.prefill({30}, {{prompt.begin(), prompt.begin() + 20}});
  session.fork(30, {31});
  session.prefill({31}, {{prompt.begin() + 20, prompt.end()}});
  session.fork(31, {32, 33});
  session.release({30, 31});
  std::vector<std::int64_t> slots;
  std::vector<std::uint64_t> keys;
  for (std::int64_t i = 0; i < 30; ++i) {
    slots.push_back(i);
    keys.push_back(static_cast<std::uint64_t>(i));
  }
  session.assign(slots, keys, sampling(1, 23));
  session.assign({32, 33}, {77, 78}, sampling(1, 50));
  slots.insert(slots.begin() + 11, {33, 32});
  const auto rows = session.run(slots, 4);
  EXPECT_EQ(rows[12].token, expected.token);
  EXPECT_EQ(rows[12].logprob, expected.logprob);
  EXPECT_NE(rows[11].token, expected.token);
}

TEST(DecodeExact, ThreadsChangeNothing) {
  std::vector<Session::Row> rows[2];
  for (const int threads : {1, 2}) {
    auto o = options("qwen3", "auto");
    o["threads"] = threads;
    Model model(o);
    Session session(model, 3, 200);
    session.prefill({0, 1, 2}, {{1, 2, 3}, {4}, {5, 6, 7, 8, 9}});
    session.assign({0, 1, 2}, {1, 2, 3}, sampling(1, 30));
    rows[threads - 1] = session.run({0, 1, 2}, 8);
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(rows[0][static_cast<std::size_t>(i)].token, rows[1][static_cast<std::size_t>(i)].token);
    EXPECT_EQ(rows[0][static_cast<std::size_t>(i)].logprob, rows[1][static_cast<std::size_t>(i)].logprob);
  }
}

TEST(DecodeStep, PeekAndForce) {
  for (const auto* kernels : {"auto", "portable"}) {
    Model model(options("mistral_window", kernels));
    Session session(model, 2, 200);
    session.prefill({0}, {{3, 1, 4, 1, 5, 9, 2, 6}});
    session.fork(0, {1});
    session.assign({0, 1}, {1, 1}, sampling(0.9, 20));
    const auto free = session.free_tokens();
    const auto peek = session.step({0}, 1, {}, GRPO_STEP_PEEK, true),
               again = session.step({0}, 1, {}, GRPO_STEP_PEEK, true);
    EXPECT_EQ(session.free_tokens(), free);
    EXPECT_TRUE(peek[0].token.empty());
    EXPECT_EQ(peek[0].ended, GRPO_FINISH_NONE);
    ASSERT_EQ(peek[0].logits.size(), 128u);
    EXPECT_EQ(peek[0].logits, again[0].logits);
    // One slot chooses, the other is forced to the same tokens: equal in all but how.
    for (int i = 0; i < 10; ++i) {
      const auto chosen = session.step({0}, 1, {}, 0, true);
      const auto forced = session.step({1}, 1, chosen[0].token, 0, true);
      EXPECT_EQ(forced[0].token, chosen[0].token);
      EXPECT_EQ(forced[0].logits, chosen[0].logits);
      EXPECT_EQ(forced[0].logprob, chosen[0].logprob);
      EXPECT_EQ(forced[0].logprob_sampled, chosen[0].logprob_sampled);
      if (i == 0) {
        EXPECT_EQ(chosen[0].logits, peek[0].logits);
      }
      double sum = 0;  // the log-probability from the logits that came out
      for (const float z : chosen[0].logits) sum += std::exp(z / 0.9);
      EXPECT_NEAR(chosen[0].logprob[0],
                  chosen[0].logits[static_cast<std::size_t>(chosen[0].token[0])] / 0.9 - std::log(sum), 1e-5);
    }
    // Forced only in the first token of a call.
    const auto mixed = session.step({0, 1}, 3, {7, -1});
    EXPECT_EQ(mixed[0].token[0], 7);
    EXPECT_EQ(mixed[0].token.size(), 3u);
  }
}

TEST(DecodeStep, EndsWhereItShould) {
  Model model(options("llama_tied", "auto"));
  Session session(model, 2, 300);
  session.prefill({0}, {{1, 2, 3}});
  session.assign({0}, {9}, sampling(1, 20));
  const auto free_run = session.run({0}, 7)[0].token;
  ASSERT_EQ(free_run.size(), 20u);
  session.release({0});
  // The first token that has not come before becomes the stop id.
  std::size_t at = 5;
  while (std::find(free_run.begin(), free_run.begin() + static_cast<std::ptrdiff_t>(at), free_run[at]) !=
         free_run.begin() + static_cast<std::ptrdiff_t>(at))
    ++at;
  const std::int32_t stop[] = {free_run[at]};
  auto s = sampling(1, 20);
  s.n_stop = 1;
  s.stop = stop;
  session.prefill({0}, {{1, 2, 3}});
  session.assign({0}, {9}, s);
  const auto stopped = session.run({0}, 7)[0];
  EXPECT_EQ(stopped.token,
            std::vector<std::int32_t>(free_run.begin(), free_run.begin() + static_cast<std::ptrdiff_t>(at) + 1));
  EXPECT_EQ(stopped.ended, GRPO_FINISH_STOP);
  session.release({0});
  // min_new holds the stop id back.
  s.min_new = static_cast<std::int32_t>(at) + 3;
  session.prefill({0}, {{1, 2, 3}});
  session.assign({0}, {9}, s);
  const auto held = session.run({0}, 7)[0];
  EXPECT_GE(held.token.size(), at + 4);
  for (std::size_t i = 0; i < at + 3; ++i) EXPECT_NE(held.token[i], stop[0]);
  session.release({0});
  // Without max_new: until positions run out.
  session.prefill({0}, {std::vector<std::int32_t>(120, 5)});
  session.assign({0}, {9}, sampling(1, 0));
  const auto last = session.run({0}, 16)[0];
  EXPECT_EQ(last.token.size(), 8u);
  EXPECT_EQ(last.ended, GRPO_FINISH_LENGTH);
  EXPECT_THROW(session.step({0}, 1), std::runtime_error);
}

TEST(DecodeMemory, ForkedPromptsCountOnce) {
  Model model(options("llama_tied", "auto"));
  // 8 completions of 20 tokens behind one prompt of 60: 60 + 160 tokens
  Session session(model, 8, 60 + 8 * 20);
  EXPECT_EQ(session.free_tokens(), 220);
  for (int round = 0; round < 3; ++round) {
    session.prefill({0}, {std::vector<std::int32_t>(60, 3)});
    session.fork(0, {1, 2, 3, 4, 5, 6, 7});
    EXPECT_GE(session.free_tokens(), 160);
    const std::vector<std::int64_t> slots{0, 1, 2, 3, 4, 5, 6, 7};
    session.assign(slots, {1, 2, 3, 4, 5, 6, 7, 8}, sampling(1, 20));
    for (const auto& row : session.run(slots, 1)) EXPECT_EQ(row.token.size(), 20u);
    session.release(slots);
    EXPECT_EQ(session.free_tokens(), 220);
  }
  // What does not fit is refused, and changes nothing.
  session.prefill({0, 1}, {std::vector<std::int32_t>(120, 3), std::vector<std::int32_t>(100, 3)});
  const auto free = session.free_tokens();
  try {
    session.prefill({2}, {std::vector<std::int32_t>(128, 3)});
    session.prefill({3}, {std::vector<std::int32_t>(128, 3)});
    FAIL() << "476 tokens in a cache of 220";
  } catch (const std::runtime_error& e) {
    EXPECT_THAT(e.what(), HasSubstr("6: "));
  }
  EXPECT_LE(session.free_tokens(), free);
}

TEST(DecodeArguments, AreChecked) {
  Model model(options("llama_tied", "auto"));
  Session session(model, 3, 100);
  const auto refused = [](const char* what, auto body) {
    try {
      body();
      ADD_FAILURE() << "accepted: " << what;
    } catch (const std::runtime_error& e) {
      EXPECT_THAT(e.what(), testing::AllOf(HasSubstr("2: "), HasSubstr(what)));
    }
  };
  session.prefill({0}, {{1, 2}});
  refused("slot 3", [&] { session.prefill({3}, {{1}}); });
  refused("token[1] is 128", [&] { session.prefill({1}, {{1, 128}}); });
  refused("does not increase", [&] { session.prefill({1}, {{}}); });
  refused("comes twice", [&] { session.prefill({1, 1}, {{1}, {2}}); });
  refused("129 tokens", [&] { session.prefill({1}, {std::vector<std::int32_t>(129, 1)}); });
  refused("slot 1 is empty", [&] { session.fork(1, {2}); });
  refused("slot 0 is not empty", [&] { session.fork(0, {0}); });
  refused("no assignment", [&] { session.step({0}, 1); });
  refused("slot 1 is empty", [&] { session.step({1}, 1); });
  session.assign({0}, {1}, sampling(1, 5));
  refused("room", [&] { session.step({0}, 0); });
  refused("force[0]", [&] { session.step({0}, 1, {128}); });
  refused("comes twice", [&] { session.step({0, 0}, 1); });
  refused("temperature", [&] { session.assign({0}, {1}, sampling(-1, 5)); });
  EXPECT_EQ(session.step({0}, 2)[0].token.size(), 2u);
}

TEST(DecodeMemory, TooLargeASessionSaysSo) {
  Model model(options("llama_tied", "auto"));
  try {
    Session session(model, 1, std::int64_t{1} << 33);  // 256 bytes a token and layer, twice: some terabytes
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_THAT(e.what(), HasSubstr("6: "));
  }
}

TEST(DecodeWeights, CommitReachesOpenSessions) {
  Model model(options("llama_tied", "auto"));
  Session session(model, 1, 100);
  session.prefill({0}, {{1, 2, 3}});
  session.assign({0}, {1}, sampling(1, 5));
  const auto before = session.step({0}, 1, {}, GRPO_STEP_PEEK, true)[0].logits;
  const auto list = model.parameters();
  auto* values = static_cast<float*>(list[0]->value->dl.data);
  for (int i = 0; i < 128 * 32; ++i) values[i] *= 1.5f;
  model.commit(2);
  EXPECT_NE(session.step({0}, 1, {}, GRPO_STEP_PEEK, true)[0].logits, before);
}

}  // namespace
}  // namespace grpo::test
