// The sampler of a device against that of the host: kernels: portable chooses tokens by LibTorch's operations, several
// in a call, unless logits are asked for; then the host chooses. Run on the CPU; a GPU takes the same path.
#include <grpo/random.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "support.hpp"

namespace grpo::test {
namespace {

using nlohmann::json;

const std::int32_t stop_ids[] = {17, 40, 63, 17, 3, 5, 8, 13, 21, 34, 55, 89, 90, 91, 92, 93};

// Every rule alone, and together.
std::vector<grpo_sampling> settings() {
  std::vector<grpo_sampling> all;
  const auto add = [&](double temperature, auto change) {
    auto s = sampling(temperature, 40);
    change(s);
    all.push_back(s);
  };
  add(1, [](auto&) {});
  add(0.6, [](auto&) {});
  add(0, [](auto&) {});
  add(0, [](auto& s) { s.repetition_penalty = 1.5; });
  add(1, [](auto& s) { s.top_k = 5; });
  add(1, [](auto& s) { s.top_k = 1; });
  add(0.9, [](auto& s) { s.top_p = 0.6; });
  add(2, [](auto& s) { s.top_p = 0.999; });
  add(1, [](auto& s) { s.min_p = 0.2; });
  add(0.8, [](auto& s) { s.repetition_penalty = 1.7; });
  add(1.2, [](auto& s) { s.repetition_penalty = 0.8; });
  add(0.8, [](auto& s) { s.top_k = 20, s.top_p = 0.8, s.min_p = 0.05, s.repetition_penalty = 1.2; });
  add(3, [](auto& s) { s.n_stop = 16, s.stop = stop_ids; });
  add(3, [](auto& s) { s.n_stop = 16, s.stop = stop_ids, s.min_new = 25; });
  add(0, [](auto& s) { s.n_stop = 1, s.stop = stop_ids + 1, s.min_new = 3, s.max_new = 9; });
  return all;
}

// All settings side by side in one call, each behind a prompt of its own length.
std::vector<Session::Row> run(Model& model, std::int64_t room, bool host, int vocabulary) {
  const auto all = settings();
  const auto n = static_cast<std::int64_t>(all.size());
  Session session(model, n, n * 80);
  std::vector<std::int64_t> slots;
  for (std::int64_t i = 0; i < n; ++i) {
    std::vector<std::int32_t> prompt;
    for (std::int64_t t = 0; t <= 2 * i; ++t)
      prompt.push_back(static_cast<std::int32_t>((31 * t + 7 * i) % vocabulary));
    session.prefill({i}, {prompt});
    session.assign({i}, {grpo_random_key(99, static_cast<std::uint64_t>(i))}, all[static_cast<std::size_t>(i)]);
    slots.push_back(i);
  }
  if (!host) return session.run(slots, room);
  std::vector<Session::Row> rows(static_cast<std::size_t>(n));
  while (!slots.empty()) {
    const auto step = session.step(slots, 1, {}, 0, /*logits=*/true);
    std::vector<std::int64_t> live;
    for (std::size_t i = 0; i < slots.size(); ++i) {
      auto& row = rows[static_cast<std::size_t>(slots[i])];
      row.token.push_back(step[i].token[0]);
      row.logprob.push_back(step[i].logprob[0]);
      row.logprob_sampled.push_back(step[i].logprob_sampled[0]);
      row.ended = step[i].ended;
      if (row.ended == GRPO_FINISH_NONE) live.push_back(slots[i]);
    }
    slots = live;
  }
  return rows;
}

// LibTorch's products of other numbers of rows may be rounded otherwise. A number drawn on the border of two tokens
// then falls to the one or the other, which are neighbours; what follows is another text. That is rare.
void expect_same(const std::vector<Session::Row>& made, const std::vector<Session::Row>& expected) {
  ASSERT_EQ(made.size(), expected.size());
  int on_a_border = 0;
  for (std::size_t i = 0; i < made.size(); ++i) {
    const auto &tokens = made[i].token, &wanted = expected[i].token;
    const auto differ = std::mismatch(tokens.begin(), tokens.end(), wanted.begin(), wanted.end());
    const auto same = static_cast<std::size_t>(differ.first - tokens.begin());
    if (differ.first != tokens.end() && differ.second != wanted.end()) {
      ASSERT_EQ(std::abs(*differ.first - *differ.second), 1) << "setting " << i << ", token " << same;
      ASSERT_LE(++on_a_border, 1) << "setting " << i << ", token " << same;
    } else {
      ASSERT_EQ(tokens.size(), wanted.size()) << "setting " << i;
      EXPECT_EQ(made[i].ended, expected[i].ended) << "setting " << i;
    }
    for (std::size_t t = 0; t < same; ++t) {
      ASSERT_NEAR(made[i].logprob[t], expected[i].logprob[t], 2e-5) << "setting " << i << ", token " << t;
      ASSERT_NEAR(made[i].logprob_sampled[t], expected[i].logprob_sampled[t], 5e-5) << "setting " << i;
    }
  }
}

class Ahead : public testing::TestWithParam<std::string> {};

TEST_P(Ahead, ChoosesWhatTheHostChooses) {
  Model model({{"path", (models() / GetParam()).string()}, {"kernels", "portable"}});
  const auto expected = run(model, 1, true, 128);
  std::set<std::int32_t> ends;
  for (const auto& row : expected) ends.insert(row.ended);
  EXPECT_EQ(ends.size(), 2u) << "some stop, some reach their length";
  for (const std::int64_t room : {1, 7, 64}) expect_same(run(model, room, false, 128), expected);
}

INSTANTIATE_TEST_SUITE_P(Models, Ahead, testing::ValuesIn(model_names()), [](const auto& info) { return info.param; });

TEST(AheadCuda, ChoosesWhatTheHostChooses) {
  for (const auto& name : model_names()) {
    const json options{{"path", (models() / name).string()}, {"device", "cuda"}};
    if (const auto error = open_error(options); !error.empty()) GTEST_SKIP() << error;
    Model model(options);
    const auto expected = run(model, 1, true, 128);
    for (const std::int64_t room : {1, 7, 64}) expect_same(run(model, room, false, 128), expected);
  }
}

// A vocabulary of several blocks, the last one not full.
TEST(AheadVocabulary, OfSeveralBlocks) {
  namespace fs = std::filesystem;
  std::string pattern = (fs::temp_directory_path() / "transformer_XXXXXX").string();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const fs::path directory = pattern;
  std::ifstream in(models() / "llama_tied" / "config.json");
  auto config = json::parse(in);
  config["vocab_size"] = 2500;
  config["initializer_range"] = 0.6;  // so that logits differ
  std::ofstream(directory / "config.json") << config;
  Model model({{"path", directory.string()}, {"kernels", "portable"}, {"init", "random"}});
  expect_same(run(model, 8, false, 2500), run(model, 1, true, 2500));
  fs::remove_all(directory);
}

TEST(Ahead, ForcesTheFirstTokenOnly) {
  Model model({{"path", (models() / "qwen3").string()}, {"kernels", "portable"}});
  Session session(model, 3, 200);
  session.prefill({0, 1, 2}, {{1, 2, 3}, {1, 2, 3}, {1, 2, 3}});
  auto s = sampling(1, 30);
  s.top_k = 1;
  session.assign({0, 1, 2}, {5, 5, 5}, s);
  const auto best = session.step({2}, 4)[0];
  const std::int32_t other = best.token[0] == 9 ? 10 : 9;
  const auto rows = session.step({0, 1}, 4, {other, best.token[0]});
  EXPECT_EQ(rows[0].token[0], other);
  EXPECT_EQ(rows[0].logprob_sampled[0], -std::numeric_limits<float>::infinity());
  EXPECT_EQ(rows[1].token, best.token);
  EXPECT_NEAR(rows[1].logprob_sampled[0], 0, 1e-6);
}

// What is not used of the blocks that a call takes for its room comes back, and a cancelled call leaves nothing.
TEST(Ahead, KeepsTheCacheAndSurvivesCancelling) {
  Model model({{"path", (models() / "llama_tied").string()}, {"kernels", "portable"}});
  Session session(model, 2, 200);
  const auto all = session.free_tokens();
  session.prefill({0}, {{1, 2, 3}});
  session.fork(0, {1});
  session.assign({0, 1}, {3, 3}, sampling(1, 40));
  const auto before = session.free_tokens();
  const std::int64_t slots[] = {0};
  std::int32_t token[20], count[1], ended[1];
  grpo_decode_step a{};
  a.struct_size = sizeof a;
  a.n = 1;
  a.room = 20;
  a.slot = slots;
  a.token = token;
  a.count = count;
  a.ended = ended;
  Call call;
  call.cancel_after = 5;
  EXPECT_EQ(model.decode().step(session.handle(), call, &a), GRPO_STATUS_CANCELLED);
  EXPECT_EQ(count[0], 0);
  EXPECT_EQ(session.free_tokens(), before);
  const auto cancelled = session.run({0}, 20), other = session.run({1}, 3);
  EXPECT_EQ(cancelled[0].token, other[0].token);
  session.release({0, 1});
  EXPECT_EQ(session.free_tokens(), all);
}

}  // namespace
}  // namespace grpo::test
