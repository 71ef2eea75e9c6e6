// A streamed reply is the sampler's, piece by piece.
#include "grpo/sdk/train/stream.hpp"

#include <gtest/gtest.h>

#include "support.hpp"

namespace grpo::train {
namespace fs = std::filesystem;
namespace {

TEST(StopTextFilter, HoldsBackWhatMayBecomeAStopText) {
  StopTextFilter filter({"</answer>", "##"});
  EXPECT_EQ(filter.push("so <"), "so ");
  EXPECT_EQ(filter.push("/ans"), "");
  EXPECT_EQ(filter.push("X #"), "</ansX ");
  EXPECT_EQ(filter.push("1 </answer"), "#1 ");
  EXPECT_FALSE(filter.found());
  EXPECT_EQ(filter.push("> more"), "");
  EXPECT_TRUE(filter.found());
  EXPECT_EQ(filter.push("again"), "");
  StopTextFilter open({"END"});
  EXPECT_EQ(open.push("the EN"), "the ");
  EXPECT_EQ(open.finish(), "EN");
}

class Stream : public testing::Test {
 protected:
  void SetUp() override {
    copy_demo_model(dir / "model");
    session = std::make_unique<Session>(
        config::load(std::nullopt,
                     {"model.plugin=fake", "model.path=" + (dir / "model").string(), "sampler.max_new_tokens=12"}),
        std::vector<fs::path>{GRPO_BINARY_DIR "/tests/fakes/fake_model.so", GRPO_PLUGIN_DIR "/sampler_local.so"},
        Needs{.sampler = true});
  }
  std::vector<std::int32_t> ids(const std::string& text) { return session->text()->tokenizer.encode(text); }
  plugins::Completion sampled(const std::vector<std::int32_t>& prompt, const plugins::Sampling& sampling,
                              std::uint64_t key) {
    plugins::Completion out;
    session->sampler().generate(
        {{.id = 0, .key = key, .prompt = prompt, .sampling = std::make_shared<const plugins::Sampling>(sampling)}},
        [&](plugins::Completion c) { out = std::move(c); });
    return out;
  }
  Scratch dir;
  std::unique_ptr<Session> session;
};

TEST_F(Stream, TokensAndTextAreThoseOfTheSampler) {
  TextStream stream(*session);
  ASSERT_TRUE(stream.streams());
  const auto prompt = ids("12+34=");
  int pieces = 0;
  for (std::uint64_t key = 0; key < 6; ++key) {
    const auto expected = sampled(prompt, *session->sampling(), key);
    std::string seen;
    const auto reply = stream.reply(prompt, *session->sampling(), key, [&](std::string_view piece) {
      seen += piece;
      ++pieces;
    });
    EXPECT_EQ(reply.ids, expected.ids);
    EXPECT_EQ(reply.finish, expected.finish);
    EXPECT_EQ(seen, session->text()->tokenizer.decode(expected.ids, true));
    EXPECT_EQ(reply.text, seen);
  }
  EXPECT_GT(pieces, 12) << "token by token, not at the end";
}

TEST_F(Stream, AConversationGoesOnInItsSlotWithTheSameResult) {
  TextStream stream(*session);
  const auto nobody = [](std::string_view) {};
  auto prompt = ids("12+34=");
  const auto first = stream.reply(prompt, *session->sampling(), 1, nobody);
  EXPECT_EQ(first.reused, 0);
  const auto held = prompt.size() + first.ids.size();
  prompt.insert(prompt.end(), first.ids.begin(), first.ids.end());
  for (const auto id : ids("5+6=")) prompt.push_back(id);
  const auto second = stream.reply(prompt, *session->sampling(), 2, nobody);
  EXPECT_EQ(second.reused, static_cast<std::int64_t>(held));
  EXPECT_EQ(second.ids, sampled(prompt, *session->sampling(), 2).ids);
  EXPECT_EQ(stream.reply(ids("5+6="), *session->sampling(), 3, nobody).reused, 0) << "another conversation";
}

TEST_F(Stream, StopsAtAStopTextAndWhenAsked) {
  TextStream stream(*session);
  auto sampling = *session->sampling();
  sampling.stop.clear();
  sampling.stop_text = {"1", "2", "3", "4", "5", "6", "7", "8", "9"};
  sampling.max_new = 64;
  const auto cut = stream.reply(ids("1+1="), sampling, 4, [](std::string_view) {});
  const auto expected = sampled(ids("1+1="), sampling, 4);
  EXPECT_EQ(cut.ids, expected.ids);
  EXPECT_EQ(cut.finish, GRPO_FINISH_STOP);
  EXPECT_EQ(cut.text.find_first_of("123456789"), std::string::npos) << cut.text;
  int asked = 0;
  const auto stopped = stream.reply(
      ids("1+1="), *session->sampling(), 5, [](std::string_view) {}, [&] { return ++asked == 2; });
  EXPECT_TRUE(stopped.finish == GRPO_FINISH_CANCELLED ? stopped.ids.size() == 2 : stopped.ids.size() < 2);
  EXPECT_NE(error_of([&] { stream.reply({}, sampling, 0, [](std::string_view) {}); }).find("empty"), std::string::npos);
}

}  // namespace
}  // namespace grpo::train
