#include "grpo/sdk/plugins/left_behind.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

namespace grpo::plugins {
namespace {

using namespace std::chrono_literals;

// Waits, without a limit of its own: CTest has one.
template <class Condition>
void until(const Condition& condition) {
  while (!condition()) std::this_thread::sleep_for(1ms);
}

TEST(LeftBehind, JobsThatComeBackRunOnOneThread) {
  Runner runner;
  std::vector<std::thread::id> on;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(runner.run([&] { on.push_back(std::this_thread::get_id()); }, 1min));
  ASSERT_EQ(on.size(), 3u);
  EXPECT_NE(on[0], std::this_thread::get_id());
  EXPECT_EQ(on[0], on[2]);
  EXPECT_EQ(calls_left_behind(), 0);
}

TEST(LeftBehind, AJobThatHangsIsLeftWithAllThatItOwns) {
  auto gate = std::make_shared<std::atomic<bool>>(false);
  auto owned = std::make_shared<int>(7);
  const std::weak_ptr<int> watched = owned;
  {
    Runner runner;
    EXPECT_FALSE(runner.run([gate, owned = std::move(owned)] { until([&] { return gate->load(); }); }, 20ms));
    EXPECT_EQ(calls_left_behind(), 1);
    bool ran = false;
    EXPECT_TRUE(runner.run([&] { ran = true; }, 1min)) << "the next job has no thread";
    EXPECT_TRUE(ran);
  }
  EXPECT_FALSE(watched.expired()) << "the job lost what it works on";
  gate->store(true);
  until([] { return calls_left_behind() == 0; });
  EXPECT_TRUE(watched.expired());
}

TEST(LeftBehind, TheGraceIsTheLimitAgainAndFiveSecondsAtLeast) {
  EXPECT_EQ(usual_grace(100ms), 5s);
  EXPECT_EQ(usual_grace(60s), 60s);
}

TEST(LeftBehind, TimeLimitsFromNumbers) {
  EXPECT_EQ(duration_of(0.25), 250ms);
  for (const double none : {0.0, -1.0, -1e300, std::nan("")}) EXPECT_EQ(duration_of(none), 0ns) << none;
  for (const double long_time : {1e18, 1e308, std::numeric_limits<double>::infinity()})
    EXPECT_GT(duration_of(long_time), 24h * 36500) << long_time;
}

}  // namespace
}  // namespace grpo::plugins
