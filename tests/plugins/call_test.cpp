#include "grpo/sdk/plugins/call.hpp"

#include <gmock/gmock.h>

#include <cstring>
#include <thread>
#include <vector>

#include "fakes.hpp"

namespace grpo::plugins {
namespace {

using testing::HasSubstr;

Component component() {
  Component c;
  c.manifest.name = "math";
  c.path = "rewards/math.so";
  return c;
}

TEST(Call, MemoryIsAlignedZeroedAndLimited) {
  Call call;
  call.set_memory_limit(1 << 20);
  const grpo_call* c = call;
  for (int round = 0; round < 3; ++round) {
    for (const std::int64_t size : {1, 63, 64, 65, 4000, 200000}) {
      auto* bytes = static_cast<unsigned char*>(c->alloc(c, size));
      ASSERT_NE(bytes, nullptr);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes) % 64, 0u);
      for (std::int64_t i = 0; i < size; ++i) ASSERT_EQ(bytes[i], 0) << i;
      std::memset(bytes, 0xAB, static_cast<std::size_t>(size));  // the next round must not see this
    }
    EXPECT_NE(c->alloc(c, 0), nullptr);
    EXPECT_EQ(c->alloc(c, -1), nullptr);
    EXPECT_EQ(c->alloc(c, 1 << 20), nullptr) << "over the limit";
    EXPECT_GT(call.allocated(), 200000);
    call.reset();
    EXPECT_EQ(call.allocated(), 0);
  }
}

TEST(Call, TheFirstErrorStays) {
  Call call;
  EXPECT_EQ(grpo_fail(call, GRPO_STATUS_INVALID, "first"), GRPO_STATUS_INVALID);
  grpo_fail(call, GRPO_STATUS_FAILED, "second");
  const std::string text = error_of([&] { call.need(GRPO_STATUS_FAILED, component(), "score"); });
  EXPECT_EQ(text, "plugin 'math' (rewards/math.so): score: first (failed)");
  call.reset();
  EXPECT_EQ(error_of([&] { call.need(GRPO_STATUS_NO_MEMORY, component(), "score"); }),
            "plugin 'math' (rewards/math.so): score: no reason given (out of memory)");
  EXPECT_EQ(error_of([&] { call.need(99, component(), "score"); }),
            "plugin 'math' (rewards/math.so): score: no reason given (unknown status)");
}

TEST(Call, ErrorTextIsMadeValid) {
  Call call;
  call.get()->fail(call, GRPO_STATUS_FAILED, "a\xFFz", 3);
  EXPECT_EQ(call.error(), "a\xEF\xBF\xBDz");
}

TEST(Call, CancelFromAnotherThread) {
  Call call;
  const grpo_call* c = call;
  EXPECT_EQ(c->cancelled(c), 0);
  std::thread([&] { call.cancel(); }).join();
  EXPECT_NE(c->cancelled(c), 0);
  call.reset();
  EXPECT_EQ(c->cancelled(c), 0);
  std::atomic<bool> flag{false};
  call.watch(&flag);
  EXPECT_EQ(c->cancelled(c), 0);
  flag = true;
  EXPECT_NE(c->cancelled(c), 0);
}

TEST(Call, DeadlineIsOnTheMonotonicClock) {
  Call call;
  const grpo_call* c = call;
  call.set_timeout(std::chrono::hours(1));
  EXPECT_GT(c->deadline_ns, monotonic_now_ns());
  EXPECT_EQ(c->cancelled(c), 0);
  call.set_deadline(monotonic_now_ns() - 1);
  EXPECT_NE(c->cancelled(c), 0);
}

TEST(Call, ManyThreadsAtOnce) {
  Call call;
  const grpo_call* c = call;
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        auto* bytes = static_cast<unsigned char*>(c->alloc(c, 100));
        for (int k = 0; k < 100; ++k) wrong += bytes[k] != 0;
        std::memset(bytes, t + 1, 100);
        for (int k = 0; k < 100; ++k) wrong += bytes[k] != t + 1;
        if (i == 250) grpo_fail(c, GRPO_STATUS_FAILED, "one of four");
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(call.error(), "one of four");
  EXPECT_EQ(call.allocated(), 4 * 500 * 100);
}

TEST(Call, ProgressThatThrowsDoesNotReachThePlugin) {
  Call call;
  double seen = 0;
  call.on_progress([&](double done, double total) {
    seen = done / total;
    throw std::runtime_error("the terminal is gone");
  });
  call.get()->progress(call, 1, 4);
  EXPECT_EQ(seen, 0.25);
}

}  // namespace
}  // namespace grpo::plugins
