// Cancelled requests are answered too, shorter; a cancelled call ends and leaves nothing behind.
#include <time.h>

#include <thread>

#include "bench.hpp"

namespace {

using bench::Bench;
using bench::Feed;
using bench::Name;

// Cancels requests 1 and 3 when 2 is finished. With six slots 3 is then partly started, with four it waits.
void cancel_two(double slots, std::size_t least_empty) {
  Bench bench({.sampler = {{"slots", slots}, {"room", 2}}});
  auto s = bench::sampling(60);
  s.n_stop = 0;
  const auto brief = bench::sampling(4);
  Feed feed;
  feed.add({1, 3, {4, 5}, 3, &s});
  feed.add({2, 3, {4, 5}, 1, &brief});
  feed.add({3, 3, {4, 5}, 20, &s});
  feed.add({5, 3, {4, 5}, 2, &s});  // goes on
  feed.on_deliver = [&](const grpo_call*, const Name& name) {
    if (name.first == 2)
      for (const uint64_t id : {1, 3, 3, 99}) bench.table->cancel(bench.handle, id);
    return GRPO_STATUS_OK;
  };
  bench.generate(feed);
  Feed whole;
  for (const uint64_t id : {1, 3}) whole.add({id, 3, {4, 5}, 20, &s});
  bench.generate(whole);
  ASSERT_EQ(feed.done.size(), 26u);
  std::size_t empty = 0;
  for (const auto& [name, c] : feed.done) {
    if (name.first == 2) continue;
    if (name.first == 5) {
      EXPECT_EQ(c.finish, GRPO_FINISH_LENGTH);
      EXPECT_EQ(c.ids.size(), 60u);
      continue;
    }
    EXPECT_EQ(c.finish, GRPO_FINISH_CANCELLED);
    EXPECT_LT(c.ids.size(), 60u);
    EXPECT_EQ(c.logprob.size(), c.ids.size());
    const auto& all = whole.done.at(name).ids;
    EXPECT_TRUE(std::equal(c.ids.begin(), c.ids.end(), all.begin())) << "not a prefix";
    empty += c.ids.empty();
  }
  EXPECT_GE(empty, least_empty);
  EXPECT_LT(empty, 23u);
}

TEST(Cancel, MakesCompletionsShorterNotMissing) { cancel_two(6, 15); }
TEST(Cancel, ReachesRequestsThatWait) { cancel_two(4, 20); }

TEST(Cancel, GivesAllSlotsBack) {
  Bench bench({.sampler = {{"slots", 3}}});
  auto s = bench::sampling(60);
  s.n_stop = 0;
  const auto brief = bench::sampling(4);
  Feed feed;
  feed.add({1, 3, {4, 5}, 1, &brief});
  feed.add({2, 3, {4, 5}, 9, &s});  // one slot keeps its prompt, one generates
  feed.add({3, 3, {4, 5}, 3, &s});
  feed.on_deliver = [&](const grpo_call*, const Name& name) {
    if (name.first == 1) bench.table->cancel(bench.handle, 2);
    if (name.first == 1) bench::watch.most_rows = 0;
    return GRPO_STATUS_OK;
  };
  bench.generate(feed);
  EXPECT_EQ(bench::watch.most_rows, 3);
}

TEST(Cancel, OfARequestThatIsNotOpenDoesNothing) {
  Bench bench;
  const auto s = bench::sampling(10);
  bench.table->cancel(bench.handle, 1);
  for (const auto& [name, c] : bench.generate({{1, 3, {4, 5}, 4, &s}})) EXPECT_NE(c.finish, GRPO_FINISH_CANCELLED);
}

TEST(Cancel, MayComeFromAnotherThread) {
  Bench bench({.sampler = {{"slots", 4}}, .model = {{"positions", 4000}}});
  auto s = bench::sampling(3900);
  s.n_stop = 0;
  Feed feed;
  for (uint64_t id = 0; id < 6; ++id) feed.add({id, 3, {4, 5}, 8, &s});
  std::thread other([&] {
    for (uint64_t id = 0; id < 6; ++id) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      for (uint64_t other_id = 0; other_id <= id; ++other_id) bench.table->cancel(bench.handle, other_id);
    }
  });
  bench.generate(feed);
  other.join();
  EXPECT_EQ(feed.done.size(), 48u);
}

TEST(Cancel, OfTheCallEndsItAndLeavesTheSamplerUsable) {
  Bench bench({.sampler = {{"slots", 4}}});
  const auto s = bench::sampling(40);
  Feed feed;
  for (uint64_t id = 0; id < 6; ++id) feed.add({id, 3, {4, 5}, 8, &s});
  test::Call call;
  feed.on_deliver = [&](const grpo_call*, const Name&) {
    call.stop = 1;
    return GRPO_STATUS_OK;
  };
  EXPECT_EQ(bench.table->generate(bench.handle, call, &feed.f), GRPO_STATUS_CANCELLED);
  EXPECT_FALSE(call.error().empty());
  EXPECT_LT(feed.done.size(), 48u);
  EXPECT_TRUE(bench::watch.used.empty());
  EXPECT_EQ(bench.generate({{1, 3, {4, 5}, 8, &s}}).size(), 8u);
}

TEST(Cancel, IsADeadlineWhenTheTimeIsOver) {
  Bench bench;
  const auto s = bench::sampling(40);
  Feed feed;
  feed.add({1, 3, {4, 5}, 8, &s});
  test::Call call;
  call.deadline(1);
  call.stop = 1;
  EXPECT_EQ(bench.table->generate(bench.handle, call, &feed.f), GRPO_STATUS_DEADLINE);
}

TEST(Cancel, WakesAnIdleSampler) {
  Bench bench;
  const auto s = bench::sampling(40);
  Feed feed;
  feed.add({1, 3, {4, 5}, 8, &s});
  feed.pauses = 1 << 30;
  test::Call call;
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    call.stop = 1;
  });
  EXPECT_EQ(bench.table->generate(bench.handle, call, &feed.f), GRPO_STATUS_CANCELLED);
  other.join();
}

}  // namespace
