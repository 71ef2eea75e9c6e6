// What is wrong is said in words that name the request and the limit, and does not spoil what comes after.
#include <cmath>

#include "bench.hpp"

namespace {

using bench::Bench;
using bench::Feed;
using testing::AllOf;
using testing::HasSubstr;

TEST(Refusal, OfAPromptThatIsTooLongNamesTheLimits) {
  Bench bench({.model = {{"positions", 40}}});
  const auto s = bench::sampling();
  for (const std::size_t n : {40u, 300u})
    EXPECT_THAT(bench.failure({{12, 3, std::vector<int32_t>(n, 9), 1, &s}}, GRPO_STATUS_INVALID),
                AllOf(HasSubstr("request 12"), HasSubstr(std::to_string(n) + " tokens"), HasSubstr("40")));
  EXPECT_EQ(bench.generate({{12, 3, std::vector<int32_t>(39, 9), 1, &s}}).at({12, 0}).ids.size(), 1u);
}

TEST(Refusal, OfTokensThatTheModelLacks) {
  Bench bench;
  const auto s = bench::sampling();
  EXPECT_THAT(bench.failure({{12, 3, {4, 64}, 1, &s}}, GRPO_STATUS_INVALID),
              AllOf(HasSubstr("request 12"), HasSubstr("token 1"), HasSubstr("64"), HasSubstr("0 to 63")));
  EXPECT_THAT(bench.failure({{12, 3, {-1}, 1, &s}}, GRPO_STATUS_INVALID), HasSubstr("-1"));
  EXPECT_THAT(bench.failure({{12, 3, {}, 1, &s}}, GRPO_STATUS_INVALID), HasSubstr("empty"));
  EXPECT_THAT(bench.failure({{12, 3, {4}, -1, &s}}, GRPO_STATUS_INVALID), HasSubstr("n_samples is -1"));
  EXPECT_THAT(bench.failure({{12, 3, {4}, 1, nullptr}}, GRPO_STATUS_INVALID), HasSubstr("sampling"));
}

TEST(Refusal, OfOptionsOutOfRange) {
  Bench bench;
  const auto said = [&](auto change) {
    auto s = bench::sampling();
    change(s);
    return bench.failure({{12, 3, {4}, 1, &s}}, GRPO_STATUS_INVALID);
  };
  EXPECT_THAT(said([](auto& s) { s.temperature = -1; }), HasSubstr("temperature is -1"));
  EXPECT_THAT(said([](auto& s) { s.temperature = NAN; }), HasSubstr("temperature is nan"));
  EXPECT_THAT(said([](auto& s) { s.top_p = 1.5; }), HasSubstr("top_p is 1.5"));
  EXPECT_THAT(said([](auto& s) { s.min_p = -0.5; }), HasSubstr("min_p is -0.5"));
  EXPECT_THAT(said([](auto& s) { s.repetition_penalty = -2; }), HasSubstr("repetition_penalty is -2"));
  EXPECT_THAT(said([](auto& s) { s.top_k = -3; }), HasSubstr("top_k is -3"));
  EXPECT_THAT(said([](auto& s) { s.min_new = -4; }), HasSubstr("min_new is -4"));
  EXPECT_THAT(said([](auto& s) { s.max_new = -5; }), HasSubstr("max_new is -5"));
  const auto s = bench::sampling();
  EXPECT_EQ(bench.generate({{12, 3, {4}, 3, &s}}).size(), 3u);
}

TEST(Refusal, OfOptionsThatTheDecoderLacks) {
  Bench bench({.model = {{"lacks", GRPO_SAMPLING_TOP_P | GRPO_SAMPLING_REPETITION_PENALTY}}});
  auto s = bench::sampling();
  s.top_p = 0.9;
  s.top_k = 5;
  s.repetition_penalty = 1.1;
  EXPECT_THAT(bench.failure({{12, 3, {4}, 1, &s}}, GRPO_STATUS_UNSUPPORTED),
              AllOf(HasSubstr("request 12"), HasSubstr("top_p, repetition_penalty")));
  s.top_p = 1;
  s.repetition_penalty = 1;
  EXPECT_EQ(bench.generate({{12, 3, {4}, 3, &s}}).size(), 3u);
}

TEST(Refusal, ByTheDecoderEndsGenerateAndLeavesTheSamplerUsable) {
  Bench bench({.sampler = {{"slots", 4}}, .model = {{"fail_step", 3}}});
  auto s = bench::sampling(40);
  s.n_stop = 0;
  EXPECT_EQ(bench.failure({{12, 3, {4}, 9, &s}}, GRPO_STATUS_FAILED), "fake: this step fails, as asked");
  EXPECT_EQ(bench.generate({{12, 3, {4}, 9, &s}}).size(), 9u);
}

TEST(Refusal, ByTheFeedEndsGenerateWithItsStatus) {
  Bench bench({.sampler = {{"slots", 4}}});
  const auto s = bench::sampling(40);
  Feed feed;
  feed.add({1, 3, {4}, 9, &s});
  feed.on_deliver = [](const grpo_call* call, const bench::Name&) {
    return grpo_fail(call, GRPO_STATUS_FAILED, "full");
  };
  test::Call call;
  EXPECT_EQ(bench.table->generate(bench.handle, call, &feed.f), GRPO_STATUS_FAILED);
  EXPECT_EQ(call.error(), "full");
  EXPECT_TRUE(bench::watch.used.empty());
  EXPECT_EQ(bench.generate({{1, 3, {4}, 9, &s}}).size(), 9u);
}

TEST(Refusal, OfAModelWithoutADecoder) {
  Bench bench;
  test::Call call;
  void* other = nullptr;
  ASSERT_EQ(bench.table->open(call, test::Options(), &other), GRPO_STATUS_OK);
  auto binding = test::make<grpo_sampler_binding>();
  binding.model = bench.model;
  binding.model_table = bench.model_table;
  Feed feed;
  EXPECT_EQ(bench.table->generate(other, call, &feed.f), GRPO_STATUS_INVALID);
  EXPECT_THAT(call.error(), HasSubstr("bind"));
  test::Call again;
  EXPECT_EQ(bench.table->bind(other, again, &binding), GRPO_STATUS_UNSUPPORTED);
  EXPECT_THAT(again.error(), HasSubstr("grpo.decode/1"));
  bench.table->close(other);
}

TEST(Refusal, OfSettingsOutOfRange) {
  Bench bench;
  for (const char* key : {"slots", "room", "prefill_chunk"}) {
    test::Call call;
    void* handle = nullptr;
    EXPECT_EQ(bench.table->open(call, test::Options{{key, -1}}, &handle), GRPO_STATUS_INVALID);
    EXPECT_THAT(call.error(), HasSubstr(key));
  }
}

TEST(Refusal, DoesNotComeFromADecoderWithLittleRoom) {
  Bench bench({.sampler = {{"room", 32}}, .model = {{"max_room", 3}}});
  const auto s = bench::sampling(40);
  EXPECT_EQ(bench.generate({{1, 3, {4}, 9, &s}}).size(), 9u);
}

}  // namespace
