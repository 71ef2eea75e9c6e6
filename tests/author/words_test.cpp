// options, call, quiet_call, span.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <grpo/author.hpp>

#include <cmath>
#include <span>
#include <vector>

#include "test/host.hpp"

namespace {

template <class F>
std::string refusal(F&& f) {
  try {
    f();
  } catch (const grpo::failure& e) {
    EXPECT_EQ(e.status(), GRPO_STATUS_INVALID);
    return e.what();
  }
  return "";
}

TEST(Words, OptionsAreCheckedAgainstARange) {
  const test::Options given{{"x", 1}, {"n", 9}, {"bad", NAN}};
  const grpo::options o(given);
  EXPECT_EQ(o.number("x", 7), 1);
  EXPECT_EQ(o.number("y", 7), 7);
  EXPECT_EQ(o.number("x", 7, 0, 1), 1);
  EXPECT_EQ(o.number_below("x", 7, 0, 1.5), 1);
  EXPECT_EQ(o.integer("n", 3, 0, 9), 9);
  EXPECT_TRUE(o.boolean("x", false));
  EXPECT_EQ(o.text("mode", "fast", {"slow", "fast"}), "fast");
  EXPECT_EQ(refusal([&] { o.number("x", 7, 2, 3.5); }), "option x is 1, and must be in 2 .. 3.5");
  EXPECT_EQ(refusal([&] { o.number("bad", 7, 2, 3); }), "option bad is nan, and must be in 2 .. 3");
  EXPECT_EQ(refusal([&] { o.number_below("x", 7, 0, 1); }), "option x is 1, and must be at least 0 and below 1");
  EXPECT_EQ(refusal([&] { o.integer("n", 3, 0, 8); }), "option n is 9, and must be in 0 .. 8");
  EXPECT_EQ(refusal([&] {
              o.text("mode", "fest", {"slow", "fast"});
            }),
            "option mode is `fest`, and must be one of slow, fast");
}

TEST(Words, ACallStopsWithTheReason) {
  const auto status = [](const test::Call& call) -> grpo_status {
    try {
      grpo::call(call).stop_if_asked();
    } catch (const grpo::failure& e) {
      return e.status();
    }
    return GRPO_STATUS_OK;
  };
  test::Call call;
  EXPECT_EQ(status(call), GRPO_STATUS_OK);
  call.stop = 1;
  EXPECT_EQ(status(call), GRPO_STATUS_CANCELLED);
  call.deadline(INT64_MAX);
  EXPECT_EQ(status(call), GRPO_STATUS_CANCELLED);
  call.deadline(1);  // long ago
  EXPECT_EQ(status(call), GRPO_STATUS_DEADLINE);
}

TEST(Words, AQuietCallKeepsTheTextToItself) {
  test::Call loud;
  const int service = 0;
  loud.services["x"] = &service;
  const grpo::quiet_call quiet(loud);
  const grpo_call* c = quiet;
  EXPECT_EQ(grpo_fail(c, GRPO_STATUS_NO_MEMORY, "first"), GRPO_STATUS_NO_MEMORY);
  EXPECT_EQ(grpo_fail(c, GRPO_STATUS_FAILED, "second"), GRPO_STATUS_FAILED);
  EXPECT_EQ(quiet.text(), "first");
  EXPECT_EQ(loud.error(), "");
  EXPECT_EQ(c->service(c, "x"), &service);
  EXPECT_EQ(c->cancelled(c), 0);
  loud.stop = 1;
  EXPECT_NE(c->cancelled(c), 0);
  const auto zeros = grpo::call(c).alloc<double>(3);
  EXPECT_THAT(std::vector<double>(zeros.begin(), zeros.end()), testing::Each(0.0));
}

TEST(Words, ASpanIsMadeFromWhatHasDataAndSize) {
  std::vector<float> v{1, 2, 3};
  const std::vector<float>& constant = v;
  const grpo::span<float> all = v;
  const grpo::span<const float> read = constant, same = all, two{v.data() + 1, 2}, none;
  all[0] = 5;
  EXPECT_EQ(read[0], 5);
  EXPECT_EQ(same.size(), 3u);
  EXPECT_THAT(two, testing::ElementsAre(2, 3));
  EXPECT_TRUE(none.empty());
  const std::span<const float> standard = two;
  EXPECT_EQ(standard.size(), 2u);
}

}  // namespace
