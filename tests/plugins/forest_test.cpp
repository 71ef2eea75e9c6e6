#include "grpo/sdk/plugins/forest.hpp"

#include <gmock/gmock.h>

#include <random>

#include "fakes.hpp"

namespace grpo::plugins {
namespace {

using testing::HasSubstr;
using Ids = std::vector<std::int32_t>;

template <class T>
std::vector<T> copy(std::span<const T> s) {
  return {s.begin(), s.end()};
}

// The tokens from the root up to and including token `at`: all that its output may depend on.
Ids context(const Forest& f, std::int64_t at) {
  std::size_t node = 0;
  while (f.node_start()[node + 1] <= at) ++node;
  Ids out;
  for (std::int64_t end = at + 1;; end = f.node_start()[node + 1]) {
    const auto from = f.tokens().begin() + f.node_start()[node], to = f.tokens().begin() + end;
    out.insert(out.begin(), from, to);
    if (f.parents()[node] < 0) return out;
    node = static_cast<std::size_t>(f.parents()[node]);
  }
}

// The picture in model.h.
TEST(Forest, TargetsArePredictedByTheTokenBefore) {
  Forest f;
  const auto prompt = f.add(Forest::root, Ids{10, 11, 12});
  f.add_scored(prompt, Ids{20, 21, 22});
  f.add_scored(prompt, Ids{30, 31});
  EXPECT_EQ(copy(f.node_start()), (std::vector<std::int64_t>{0, 3, 6, 8}));
  EXPECT_EQ(copy(f.parents()), (std::vector<std::int64_t>{-1, 0, 0}));
  EXPECT_EQ(copy(f.target_at()), (std::vector<std::int64_t>{2, 3, 4, 2, 6}));
  EXPECT_EQ(copy(f.target_token()), (Ids{20, 21, 22, 30, 31}));
  EXPECT_EQ(f.depth(), 2);
  EXPECT_EQ(f.longest(), 6);
}

TEST(Forest, MaskAndRoots) {
  Forest f;
  f.add_scored(Forest::root, Ids{1, 2, 3});  // the first token of a sequence has nothing before it
  EXPECT_EQ(copy(f.target_at()), (std::vector<std::int64_t>{0, 1}));
  f.add_scored(0, Ids{4, 5, 6}, std::vector<std::uint8_t>{1, 0, 1});  // 5: tool output, say
  EXPECT_EQ(copy(f.target_token()), (Ids{2, 3, 4, 6}));
  EXPECT_EQ(copy(f.target_at()), (std::vector<std::int64_t>{0, 1, 2, 4}));
}

TEST(Forest, FlatteningKeepsWhatEveryTargetSees) {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    Forest f;
    for (int n = 0; n < 12; ++n) {
      const std::int64_t parent = static_cast<std::int64_t>(random() % static_cast<unsigned>(n + 1)) - 1;
      Ids ids;
      for (unsigned k = 1 + random() % 4; k > 0; --k) ids.push_back(static_cast<std::int32_t>(random() % 1000));
      f.add_scored(parent, ids);
    }
    for (const std::int32_t depth : {0, 1, 2, 3}) {
      const Forest flat = f.flattened(depth);
      ASSERT_EQ(copy(flat.target_token()), copy(f.target_token()));
      if (depth > 0) {
        EXPECT_LE(flat.depth(), depth);
      }
      EXPECT_EQ(flat.longest(), f.longest());
      for (std::size_t k = 0; k < f.target_at().size(); ++k) {
        ASSERT_EQ(context(flat, flat.target_at()[k]), context(f, f.target_at()[k]));
      }
    }
  }
}

TEST(Forest, TwoLevelsStayShared) {
  Forest f;
  const auto prompt = f.add(Forest::root, Ids{1, 2});
  f.add_scored(prompt, Ids{3});
  f.add_scored(prompt, Ids{4});
  EXPECT_EQ(f.flattened(2).n_tokens(), 4);
  EXPECT_EQ(f.flattened(1).n_tokens(), 6);
}

TEST(Forest, Refusals) {
  Forest f;
  EXPECT_THAT(error_of([&] { f.add(Forest::root, Ids{}); }), HasSubstr("node 0 is empty"));
  EXPECT_THAT(error_of([&] { f.add(0, Ids{1}); }), HasSubstr("continues node 0, which does not exist"));
  f.add(Forest::root, Ids{1});
  EXPECT_THAT(error_of([&] {
                f.add_scored(0, Ids{1, 2}, std::vector<std::uint8_t>{1});
              }),
              HasSubstr("2 tokens and a mask of 1"));
  EXPECT_THAT(error_of([&] { f.add_target(5, 1); }), HasSubstr("target at token 5 of a forest of 1"));
}

}  // namespace
}  // namespace grpo::plugins
