#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <grpo/sdk/data/order.hpp>
#include <grpo/sdk/error.hpp>
#include <numeric>

using namespace grpo::data;
using testing::ElementsAre;

namespace {

using Rows = std::vector<std::int64_t>;

Rows all(std::int64_t n) {
  Rows out(static_cast<std::size_t>(n));
  std::iota(out.begin(), out.end(), 0);
  return out;
}

}  // namespace

TEST(EpochOrder, EveryRowOnceAnEpoch) {
  for (const std::int64_t n : {1, 2, 3, 17, 1000}) {
    EpochOrder order(n, 42, true);
    for (int epoch = 0; epoch < 4; ++epoch) {
      Rows rows = order.next(n);
      std::sort(rows.begin(), rows.end());
      EXPECT_EQ(rows, all(n)) << n << " rows, epoch " << epoch;
    }
  }
}

TEST(EpochOrder, DependsOnSeedAndEpochAlone) {
  EpochOrder a(100, 7, true), b(100, 7, true), c(100, 8, true);
  const Rows first = a.next(100);
  EXPECT_EQ(first, b.next(100));
  EXPECT_NE(first, c.next(100));
  EXPECT_NE(first, a.next(100));
  EXPECT_NE(first, all(100));
}

TEST(EpochOrder, GoesOnFromAPosition) {
  EpochOrder whole(37, 3, true);
  const Rows rows = whole.next(120);
  for (const std::int64_t from : {0, 1, 36, 37, 38, 100}) {
    EpochOrder resumed(37, 3, true);
    resumed.seek(from);
    EXPECT_EQ(resumed.next(120 - from), Rows(rows.begin() + from, rows.end())) << from;
    EXPECT_EQ(resumed.position(), 120);
  }
}

TEST(EpochOrder, BatchesRunOverTheEndOfAnEpoch) {
  EpochOrder order(5, 0, false);
  EXPECT_THAT(order.next(4), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(order.next(4), ElementsAre(4, 0, 1, 2));
  EXPECT_DOUBLE_EQ(order.epoch(), 1.6);
  EXPECT_EQ(order.at(9), 4);
  EXPECT_EQ(order.position(), 8);
}

// All 24 orders of 4 rows, equally often: chi-squared with 23 degrees of freedom, 99.9 % below 49.7.
TEST(EpochOrder, IsFair) {
  std::map<Rows, int> seen;
  EpochOrder order(4, 12345, true);
  constexpr int draws = 24000;
  for (int i = 0; i < draws; ++i) ++seen[order.next(4)];
  ASSERT_EQ(seen.size(), 24u);
  double chi_squared = 0;
  for (const auto& [rows, count] : seen) chi_squared += (count - 1000.0) * (count - 1000.0) / 1000.0;
  EXPECT_LT(chi_squared, 49.7);
}

// A run that is resumed with another version of this program must see the same rows (tests/golden/make/epoch_order.py).
TEST(EpochOrder, IsFrozen) {
  EpochOrder order(10, 42, true);
  EXPECT_THAT(order.next(10), ElementsAre(3, 9, 2, 5, 6, 7, 1, 8, 0, 4));
  EXPECT_THAT(order.next(10), ElementsAre(9, 1, 6, 3, 7, 8, 0, 2, 4, 5));
}

TEST(EpochOrder, NoRows) { EXPECT_THROW(EpochOrder(0, 1, true), grpo::Error); }

TEST(StepsOf, RoundsUp) {
  EXPECT_EQ(steps_of(100, 1, 10), 10);
  EXPECT_EQ(steps_of(101, 1, 10), 11);
  EXPECT_EQ(steps_of(100, 1.5, 10), 15);
  EXPECT_EQ(steps_of(100, 0.001, 10), 1);
  EXPECT_EQ(steps_of(7473, 3, 32), 701);
}
