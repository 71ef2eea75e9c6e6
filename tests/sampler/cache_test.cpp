// Slots and cache: groups that do not fit at once wait, and what cannot ever fit is refused in words.
#include "bench.hpp"

namespace {

using bench::Bench;
using bench::Feed;
using bench::watch;
using testing::AllOf;
using testing::HasSubstr;

TEST(Cache, ComputesAPromptOnceForAGroupLargerThanTheSlots) {
  Bench bench({.sampler = {{"slots", 4}}});
  const auto s = bench::sampling();
  const auto done = bench.generate({{1, 3, {4, 5, 6, 7, 8}, 50, &s}});
  EXPECT_EQ(done.size(), 50u);
  EXPECT_EQ(watch.prompt_tokens, 5);
  EXPECT_EQ(watch.most_used, 4u);
}

TEST(Cache, NeedsOneSlotOnly) {
  Bench bench({.sampler = {{"slots", 1}}});
  const auto s = bench::sampling();
  EXPECT_EQ(bench.generate({{1, 3, {4, 5}, 7, &s}, {2, 3, {4, 5}, 2, &s}}).size(), 9u);
  EXPECT_EQ(watch.most_used, 1u);
}

TEST(Cache, FillsTheSlotsFromSeveralRequests) {
  Bench bench({.sampler = {{"slots", 12}}});
  auto s = bench::sampling(16);
  s.n_stop = 0;
  bench.generate({{1, 3, {4, 5}, 4, &s}, {2, 3, {4, 5}, 4, &s}, {3, 3, {4, 5}, 4, &s}});
  EXPECT_EQ(watch.most_rows, 12);
  EXPECT_EQ(watch.steps, 2);     // 16 tokens with room 8
  EXPECT_EQ(watch.prefills, 1);  // the three prompts packed
}

TEST(Cache, CutsPromptsIntoChunks) {
  Bench bench({.sampler = {{"prefill_chunk", 7}}});
  const auto s = bench::sampling();
  const std::vector<int32_t> prompt(30, 9);
  bench.generate({{1, 3, prompt, 2, &s}, {2, 3, prompt, 2, &s}});
  EXPECT_EQ(watch.longest_prefill, 7);
  EXPECT_EQ(watch.prompt_tokens, 60);
  EXPECT_EQ(watch.prefills, 9);
}

TEST(Cache, LooksLessOftenAtADevice) {
  for (const bool device : {false, true}) {
    Bench bench({.sampler = {{"slots", 3}}, .model = {{"on_device", device}, {"positions", 8192}}});
    auto s = bench::sampling(32);
    s.n_stop = 0;
    const std::vector<int32_t> prompt(2000, 9);
    bench.generate({{1, 3, prompt, 3, &s}});
    EXPECT_EQ(watch.steps, device ? 1 : 4);
    EXPECT_EQ(watch.longest_prefill, device ? 2000 : 512);
  }
}

TEST(Cache, LetsRequestsWaitWhileItIsFull) {
  Bench bench({.sampler = {{"cache_tokens", 64}}});
  auto s = bench::sampling(16);
  s.n_stop = 0;
  const auto done = bench.generate({{1, 3, {4, 5}, 40, &s}, {2, 3, {4, 5}, 40, &s}});
  EXPECT_EQ(done.size(), 80u);
  EXPECT_EQ(watch.asked_tokens, std::vector<int64_t>{64});
  EXPECT_EQ(watch.most_rows, 3);  // 2 + 3 * 16 <= 64 < 2 + 4 * 16
}

TEST(Cache, MayBeFullToTheLastToken) {
  Bench bench({.sampler = {{"cache_tokens", 50}, {"room", 12}}});
  auto s = bench::sampling(16);
  s.n_stop = 0;
  EXPECT_EQ(bench.generate({{1, 3, {4, 5}, 9, &s}}).size(), 9u);
  EXPECT_EQ(watch.most_rows, 3);  // 2 + 3 * 16 tokens; the second step has no room for 12 each
}

TEST(Cache, IsAsLargeAsTheRequestsNeed) {
  Bench bench({.sampler = {{"slots", 8}, {"room", 1}}});
  auto s = bench::sampling(100);
  bench.generate({{1, 3, std::vector<int32_t>(50, 9), 8, &s}});
  ASSERT_EQ(watch.asked_tokens.size(), 1u);
  EXPECT_GE(watch.asked_tokens[0], 50 + 8 * 100);
  EXPECT_LE(watch.asked_tokens[0], 1280);
}

TEST(Cache, IsOpenedAnewForALongerRequest) {
  Bench bench({.sampler = {{"slots", 2}}});
  const auto brief = bench::sampling(4);
  auto longer = bench::sampling(200);
  longer.n_stop = 0;
  Feed feed;
  for (uint64_t id = 0; id < 6; ++id) feed.add({id, 3, {4, 5}, 2, &brief});
  feed.add({6, 3, {4, 5}, 4, &longer});
  feed.add({7, 3, {4, 5}, 2, &brief});
  bench.generate(feed);
  EXPECT_EQ(watch.sessions, 2);
  EXPECT_EQ(feed.done.at({6, 3}).ids.size(), 200u);
}

TEST(Cache, OfAHesitantFeedHasRoomForAllSlots) {
  Bench bench({.sampler = {{"slots", 8}}});
  auto s = bench::sampling(50);
  s.n_stop = 0;
  Feed feed;
  for (uint64_t id = 0; id < 8; ++id) feed.add({id, 3, {4, 5}, 1, &s});
  feed.pauses = 1;
  bench.generate(feed);
  EXPECT_EQ(watch.sessions, 1);
  EXPECT_GT(watch.most_rows, 3);
  EXPECT_GT(feed.idle_waits, 0);
}

TEST(Cache, IsSmallerWhereTheModelHasNoMemoryForMore) {
  Bench bench({.model = {{"cache_limit", 300}}});
  auto s = bench::sampling(40);
  s.n_stop = 0;
  for (int i = 0; i < 2; ++i) EXPECT_EQ(bench.generate({{1, 3, {4, 5}, 64, &s}}).size(), 64u);
  EXPECT_LE(watch.asked_tokens.back(), 300);
  EXPECT_EQ(watch.sessions, 1);
}

TEST(Cache, ThatOneSampleDoesNotFitIsSaid) {
  const auto s = bench::sampling(100);
  const std::vector<int32_t> prompt(30, 9);
  {
    Bench bench({.sampler = {{"cache_tokens", 64}}});
    EXPECT_THAT(
        bench.failure({{71, 3, prompt, 2, &s}}, GRPO_STATUS_NO_MEMORY),
        AllOf(HasSubstr("request 71"), HasSubstr("130"), HasSubstr("cache_tokens is 64"), HasSubstr("max_new")));
    const auto brief = bench::sampling(10);
    EXPECT_EQ(bench.generate({{72, 3, prompt, 2, &brief}}).size(), 2u);
  }
  {
    Bench bench({.model = {{"cache_limit", 100}}});
    EXPECT_THAT(bench.failure({{73, 3, prompt, 2, &s}}, GRPO_STATUS_NO_MEMORY),
                AllOf(HasSubstr("request 73"), HasSubstr("130"), HasSubstr("fake: cache_limit"), HasSubstr("slots")));
    const auto brief = bench::sampling(10);
    EXPECT_EQ(bench.generate({{74, 3, prompt, 2, &brief}}).size(), 2u);
  }
  {
    Bench bench({.sampler = {{"cache_tokens", 4000}}, .model = {{"cache_limit", 1000}}});
    EXPECT_THAT(bench.failure({{75, 3, prompt, 2, &s}}, GRPO_STATUS_NO_MEMORY), HasSubstr("lower cache_tokens"));
  }
}

}  // namespace
