// How completions end: stop ids, lengths, positions, stop texts.
#include <algorithm>

#include "bench.hpp"

namespace {

using bench::Bench;
using bench::Completion;

// Ids 1 to 26 are letters, 27 and 28 the two halves of an e with an acute accent, 29 "ab", 30 "bc", 31 a special token
// written <end>, the rest two capitals; ids from 60 on have no text.
std::string text_of(int32_t id) {
  if (id == 27) return "\xC3";
  if (id == 28) return "\xA9";
  if (id == 29) return "ab";
  if (id == 30) return "bc";
  if (id == 31) return "<end>";
  if (id >= 1 && id <= 26) return std::string(1, static_cast<char>('a' + id - 1));
  return std::string(1, static_cast<char>('A' + id % 26)) + static_cast<char>('A' + id / 26);
}

const grpo_tokenizer* tokenizer() {
  static const grpo_tokenizer t = [] {
    auto t = test::make<grpo_tokenizer>();
    t.vocabulary = 60;
    t.bos = t.pad = -1;
    t.decode = [](const grpo_tokenizer*, uint32_t flags, const int32_t* ids, int64_t n, char* text, int64_t room) {
      std::string all;
      for (int64_t i = 0; i < n; ++i) {
        if (ids[i] < 0 || ids[i] >= 60) return int64_t{-1};
        if (ids[i] != 31 || (flags & GRPO_TOKENIZER_SPECIAL)) all += text_of(ids[i]);
      }
      std::copy_n(all.data(), std::min<int64_t>(room, static_cast<int64_t>(all.size())), text);
      return static_cast<int64_t>(all.size());
    };
    return t;
  }();
  return &t;
}

std::string text_of(const std::vector<int32_t>& ids) {
  std::string all;
  for (const int32_t id : ids)
    if (id < 60) all += text_of(id);
  return all;
}

TEST(Stop, ByIdIncludesTheId) {
  Bench bench;
  auto s = bench::sampling(200);
  static constexpr int32_t stop[] = {5, 6, 7, 8};
  s.stop = stop;
  s.n_stop = 4;
  int stopped = 0;
  for (const auto& [name, c] : bench.generate({{1, 3, {4}, 64, &s}})) {
    const auto first = std::find_if(c.ids.begin(), c.ids.end(), [](int32_t id) { return id >= 5 && id <= 8; });
    if (c.finish == GRPO_FINISH_STOP) {
      ++stopped;
      EXPECT_EQ(first, c.ids.end() - 1);
    } else {
      EXPECT_EQ(first, c.ids.end());
      EXPECT_EQ(c.ids.size(), 200u);
    }
  }
  EXPECT_GT(stopped, 50);
}

TEST(Stop, ByIdIsNotBeforeMinNew) {
  Bench bench;
  auto s = bench::sampling(60);
  static constexpr int32_t stop[] = {5, 6, 7, 8, 9, 10, 11, 12};
  s.stop = stop;
  s.n_stop = 8;
  s.min_new = 9;
  std::size_t shortest = 1000;
  for (const auto& [name, c] : bench.generate({{1, 3, {4}, 64, &s}})) shortest = std::min(shortest, c.ids.size());
  EXPECT_EQ(shortest, 10u);
}

TEST(Stop, ByLengthAtMaxNew) {
  Bench bench;
  auto s = bench::sampling(13);
  s.n_stop = 0;
  for (const auto& [name, c] : bench.generate({{1, 3, {4}, 8, &s}})) {
    EXPECT_EQ(c.ids.size(), 13u);
    EXPECT_EQ(c.finish, GRPO_FINISH_LENGTH);
  }
}

TEST(Stop, ByLengthWherePositionsRunOut) {
  Bench bench({.model = {{"positions", 20}}});
  for (const int32_t max_new : {0, 100}) {
    auto s = bench::sampling(max_new);
    s.n_stop = 0;
    for (const auto& [name, c] : bench.generate({{1, 3, {4, 5, 6}, 3, &s}})) {
      EXPECT_EQ(c.ids.size(), 17u);
      EXPECT_EQ(c.finish, GRPO_FINISH_LENGTH);
    }
  }
}

// Checks a run with stop texts against the same run without: each completion is the other's up to the first token that
// completes a text. Returns how many were cut.
int check_texts(const std::vector<std::string>& texts, int32_t min_new, double room, double cache_tokens = 0) {
  Bench bench({.sampler = {{"room", room}, {"cache_tokens", cache_tokens}}, .tokenizer = tokenizer()});
  std::vector<grpo_str> list;
  for (const auto& t : texts) list.push_back({t.data(), static_cast<int64_t>(t.size())});
  auto s = bench::sampling(80);
  s.n_stop = 0;
  s.min_new = min_new;
  const auto whole = bench.generate({{1, 3, {4}, 96, &s}});
  s.stop_text = list.data();
  s.n_stop_text = static_cast<int32_t>(list.size());
  const auto cut = bench.generate({{1, 3, {4}, 96, &s}});
  int n = 0;
  for (const auto& [name, c] : whole) {
    std::vector<int32_t> expected;
    bool stop = false;
    for (std::size_t i = 0; i < c.ids.size() && !stop; ++i) {
      const std::string before = text_of(expected);
      expected.push_back(c.ids[i]);
      const std::string after = text_of(expected);
      for (const auto& t : texts) {
        const std::size_t from = before.size() + 1 > t.size() ? before.size() + 1 - t.size() : 0;
        stop = stop || (static_cast<int32_t>(expected.size()) > min_new && after.find(t, from) != std::string::npos);
      }
    }
    const Completion& got = cut.at(name);
    EXPECT_EQ(got.ids, expected);
    EXPECT_EQ(got.finish, stop ? GRPO_FINISH_STOP : GRPO_FINISH_LENGTH);
    EXPECT_EQ(got.logprob, std::vector<float>(c.logprob.begin(), c.logprob.begin() + std::ptrdiff_t(expected.size())));
    EXPECT_EQ(got.logprob.size(), got.sampled.size());
    n += stop;
  }
  return n;
}

TEST(StopText, IsFoundWithinAToken) { EXPECT_GT(check_texts({"q"}, 0, 8), 30); }
TEST(StopText, IsFoundAcrossTheBordersOfTokens) {
  EXPECT_GT(check_texts({"bc", "ca", "xA"}, 0, 8), 3);
  EXPECT_GT(check_texts({"EAF", "GAH", "BAC", "Aq", "Ae", "ABB"}, 0, 1), 1);
}
TEST(StopText, IsFoundWhereACharacterIsSpreadOverTokens) {
  EXPECT_GT(check_texts({"\xC3\xA9"}, 0, 8) + check_texts({"\xA9"}, 0, 8), 3);
}
TEST(StopText, MayBeASpecialToken) { EXPECT_GT(check_texts({"<end>"}, 0, 8), 10); }
TEST(StopText, IsPassedOverBeforeMinNew) { EXPECT_GT(check_texts({"q", "r", "s"}, 10, 8), 30); }
TEST(StopText, GivesTheSameWhateverTheRoom) {
  for (const double room : {1, 5, 32}) EXPECT_GT(check_texts({"q", "bA"}, 0, room), 30) << room;
}

TEST(StopText, GivesItsCacheBack) { EXPECT_GT(check_texts({"q", "r", "s"}, 0, 32, 165), 30); }

TEST(StopText, NeedsATokenizer) {
  Bench bench;
  const grpo_str text{"end", 3};
  auto s = bench::sampling();
  s.stop_text = &text;
  s.n_stop_text = 1;
  EXPECT_FALSE(bench.table->describe(bench.handle)->sampling & GRPO_SAMPLING_STOP_TEXT);
  EXPECT_THAT(bench.failure({{44, 3, {4}, 1, &s}}, GRPO_STATUS_UNSUPPORTED),
              testing::AllOf(testing::HasSubstr("request 44"), testing::HasSubstr("grpo.tokenizer/1")));
}

}  // namespace
