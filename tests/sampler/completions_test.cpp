// Every request is answered once, and a completion depends on its own request alone.
#include <cmath>

#include "bench.hpp"

namespace {

using bench::Bench;
using bench::Completions;
using bench::Feed;
using bench::Request;

const grpo_sampling plain = bench::sampling();

std::vector<Request> some_requests(int n, int64_t samples) {
  std::vector<Request> all;
  for (int i = 0; i < n; ++i) {
    std::vector<int32_t> prompt;
    for (int t = 0; t <= i * 3 % 11; ++t) prompt.push_back(1 + (i * 7 + t * 5) % 63);
    all.push_back(
        {static_cast<uint64_t>(100 + i), grpo_random_key(1, static_cast<uint64_t>(i)), prompt, samples, &plain});
  }
  return all;
}

Completions with_setting(std::initializer_list<std::pair<const std::string, double>> options, int pauses = 0) {
  Bench bench({.sampler = options});
  Feed feed;
  for (const auto& r : some_requests(9, 5)) feed.add(r);
  feed.pauses = pauses;
  bench.generate(feed);
  EXPECT_EQ(feed.done.size(), 45u);
  return feed.done;
}

TEST(Completions, DependOnNothingButTheirRequest) {
  const Completions whole = with_setting({});
  ASSERT_EQ(whole.size(), 45u);
  std::set<std::vector<int32_t>> different;
  for (const auto& [name, c] : whole) different.insert(c.ids);
  EXPECT_GT(different.size(), 40u);
  for (const double slots : {1, 2, 3, 7, 64})
    for (const double room : {1, 3, 8})
      EXPECT_EQ(with_setting({{"slots", slots}, {"room", room}}), whole) << slots << " slots, room " << room;
  for (const double chunk : {1, 2, 5}) EXPECT_EQ(with_setting({{"prefill_chunk", chunk}}), whole) << "chunk " << chunk;
  EXPECT_EQ(with_setting({{"cache_tokens", 60}}), whole);
  EXPECT_EQ(with_setting({{"slots", 6}}, 3), whole) << "a feed that hesitates";
}

TEST(Completions, DoNotDependOnTheirNeighbours) {
  Bench bench({.sampler = {{"slots", 8}}});
  const auto requests = some_requests(9, 5);
  const Completions together = bench.generate(requests);
  Completions alone, reversed = bench.generate(std::vector<Request>(requests.rbegin(), requests.rend()));
  for (const auto& r : requests) alone.merge(bench.generate({r}));
  EXPECT_EQ(alone, together);
  EXPECT_EQ(reversed, together);
}

TEST(Completions, AreThoseOfTheDocumentedDraw) {
  Bench bench;
  const std::vector<int32_t> prompt{3, 9};
  const uint64_t key = 5;
  const bench::Completion done = bench.generate({{1, key, prompt, 1, &plain}}).at({1, 0});
  ASSERT_FALSE(done.ids.empty());
  std::vector<int32_t> path = prompt;
  for (const int32_t id : done.ids) {
    const double u = grpo_random_uniform(grpo_random_key(key, 0), path.size());
    double sum = 0;
    int32_t drawn = -1;
    for (int32_t v = 0; v < 64 && drawn < 0; ++v)
      if ((sum += std::exp(double{bench.logprobs(path, {v}, 1).at(0)})) > u) drawn = v;
    EXPECT_EQ(id, drawn) << "at position " << path.size();
    path.push_back(id);
  }
}

TEST(Completions, SayTheLogProbabilitiesThatTheModelComputes) {
  Bench bench;
  auto s = bench::sampling(40);
  s.temperature = 0.7;
  s.top_k = 12;
  s.repetition_penalty = 1.3;
  const std::vector<int32_t> prompt{7, 7, 2};
  for (const auto& [name, c] : bench.generate({{1, 3, prompt, 16, &s}})) {
    EXPECT_EQ(c.kind, GRPO_LOGPROB_TEMPERED);
    const auto expected = bench.logprobs(prompt, c.ids, s.temperature);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(c.logprob[i], expected[i], 1e-6);
      EXPECT_LE(c.sampled[i], 0);
      EXPECT_GT(c.sampled[i], -20);
    }
  }
}

TEST(Completions, AreGreedyAtTemperatureZero) {
  Bench bench;
  auto s = bench::sampling(30);
  s.temperature = 0;
  const auto done = bench.generate({{1, 3, {4}, 2, &s}});
  const auto& c = done.at({1, 0});
  EXPECT_EQ(c.ids, done.at({1, 1}).ids);
  std::vector<int32_t> path{4};
  for (const int32_t id : c.ids) {
    int32_t best = 0;
    for (int32_t v = 1; v < 64; ++v)
      if (bench.logprobs(path, {v}, 1).at(0) > bench.logprobs(path, {best}, 1).at(0)) best = v;
    EXPECT_EQ(id, best);
    path.push_back(id);
  }
}

TEST(Completions, CarryTheVersionOfTheWeights) {
  Bench bench;
  EXPECT_EQ(bench.generate({{1, 3, {4}, 1, &plain}}).at({1, 0}).version, 0);
  bench.table->model_changed(bench.handle, 17);
  EXPECT_EQ(bench.generate({{1, 3, {4}, 1, &plain}}).at({1, 0}).version, 17);
}

TEST(Completions, FollowTheWeightsOfTheModel) {
  Bench bench;
  const auto before = bench.generate({{1, 3, {4}, 4, &plain}});
  test::Call call;
  int64_t n = 0;
  const grpo_parameter* const* list = nullptr;
  ASSERT_EQ(bench.model_table->parameters(bench.model, call, &n, &list), GRPO_STATUS_OK);
  auto* value = static_cast<float*>(list[0]->value->dl.data);
  for (int i = 0; i < 1024 * 64; ++i) value[i] = -value[i];
  bench.table->model_changed(bench.handle, 1);
  EXPECT_NE(bench.generate({{1, 3, {4}, 4, &plain}}), before);
}

TEST(Completions, OfARequestForNoneAreNone) {
  Bench bench;
  EXPECT_EQ(bench.generate({{1, 3, {4}, 0, &plain}, {2, 3, {4}, 1, &plain}}).size(), 1u);
}

TEST(Completions, ComeAsTheyFinish) {
  Bench bench({.sampler = {{"room", 1}}});
  const auto brief = bench::sampling(2);
  Feed feed;
  feed.add({1, 3, {4}, 1, &plain});
  feed.add({2, 3, {4}, 1, &brief});
  bench.generate(feed);
  ASSERT_GT(feed.done.at({1, 0}).ids.size(), 2u);
  EXPECT_EQ(feed.order.front().first, 2u);
}

TEST(Completions, KeepOneSessionFromCallToCall) {
  Bench bench;
  for (int i = 0; i < 5; ++i) bench.generate(some_requests(9, 5));
  EXPECT_EQ(bench::watch.sessions, 1);
}

}  // namespace
