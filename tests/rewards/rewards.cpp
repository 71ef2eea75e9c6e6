// What each reward says of a completion.
#include <gtest/gtest.h>

#include "host.hpp"

namespace {
using nlohmann::json;
using rewards_test::Reward;

std::string refusal(const std::string& library, const json& options) {
  try {
    Reward reward(library, options);
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  return "opened";
}

TEST(Math, Defaults) {
  const Reward math("reward_math");
  EXPECT_EQ(math.score("so \\boxed{72}", "72").score, 1);
  EXPECT_EQ(math.score("so \\boxed{71}", "72").score, 0);
  EXPECT_EQ(math.score("so 72", "72").score, 0);
  EXPECT_EQ(math.score("#### 72", "She has 70 + 2 = 72.\n#### 72").score, 1);
  EXPECT_EQ(math.score("<answer>1/2</answer>", "Thus $\\boxed{\\frac12}$").score, 1);
  EXPECT_EQ(math.score("\\boxed{5}", "").status, GRPO_SAMPLE_NOT_APPLICABLE);
  EXPECT_TRUE(std::isnan(math.score("\\boxed{5}", "").score));
  EXPECT_EQ(math.score("\\boxed{71}", "72").components, json::parse(R"({"format":1,"accuracy":0})"));
}

TEST(Math, SimpleRl) {
  const Reward math("reward_math", {{"correct", 1}, {"wrong", -0.5}, {"missing", -1}, {"boxed_only", true}});
  EXPECT_EQ(math.score("\\boxed{72}", "72").score, 1);
  EXPECT_EQ(math.score("\\boxed{7}", "72").score, -0.5);
  EXPECT_EQ(math.score("the answer is 72", "72").score, -1);
}

TEST(Math, Options) {
  EXPECT_EQ(Reward("reward_math", {{"last_number", true}}).score("I count 72 of them", "72").score, 1);
  EXPECT_EQ(Reward("reward_math", {{"gold", "raw"}}).score("\\boxed{72}", "#### 72").score, 0);
  EXPECT_NE(refusal("reward_math", {{"gold", "rwa"}}).find("rwa"), std::string::npos);
  EXPECT_NE(refusal("reward_math", {{"boxed_only", true}, {"last_number", true}}).find("last_number"),
            std::string::npos);
}

TEST(LengthInGroup, ComparesTokensAndAsksForATruth) {
  const Reward reward("reward_length", json::object(), "length_in_group");
  const auto right = reward.score_group({{"\\boxed{7}", "7", 10}, {"\\boxed{7}", "", 20}, {"\\boxed{7}", "", 14}});
  EXPECT_EQ(right[0].score, 0.5);
  EXPECT_EQ(right[1].score, -0.5);
  EXPECT_NEAR(right[2].score, 0.1, 1e-15);
  EXPECT_EQ(right[2].components, json::parse(R"({"tokens":14,"accuracy":1})"));
  const auto wrong = reward.score_group({{"\\boxed{8}", "7", 10}, {"", "", 20}, {"\\boxed{7}", "", 20}});
  EXPECT_EQ(wrong[0].score, 0) << "short, but wrong";
  EXPECT_EQ(wrong[1].score, -0.5);
  EXPECT_EQ(reward.score_group({{"\\boxed{7}", "7", 10}, {"none", "", 10}})[0].score, 0) << "nothing to compare";
  EXPECT_EQ(reward.score("\\boxed{7}", "").status, GRPO_SAMPLE_NOT_APPLICABLE);
  EXPECT_THROW(Reward("reward_length", {{"unit", "bytes"}}, "length_in_group"), std::runtime_error);
}

TEST(Format, Matches) {
  const Reward format("reward_format");
  EXPECT_EQ(format.score("<think>a\nb</think>\n<answer>5</answer>").score, 1);
  EXPECT_EQ(format.score("x<think>a</think><answer>5</answer>").score, 0) << "the whole completion must match";
  EXPECT_EQ(format.score("<answer>5</answer>").score, 0);
  const Reward search("reward_format",
                      {{"pattern", "ANSWER: \\d+$"}, {"match", "search"}, {"flags", "im"}, {"unmatched", -1}});
  EXPECT_EQ(search.score("so\nanswer: 12\nthanks").score, 1);
  EXPECT_EQ(search.score("answer: twelve").score, -1);
  const Reward letters("reward_format", {{"pattern", "\\p{L}+."}, {"flags", ""}});
  EXPECT_EQ(letters.score("größe!").score, 1);
  EXPECT_EQ(letters.score("größe\n").score, 0) << "without s a dot is no new line";
}

TEST(Format, RefusesABadPatternWithItsPlace) {
  const std::string why = refusal("reward_format", {{"pattern", "<a>(.*</a>"}});
  EXPECT_NE(why.find("offset 10"), std::string::npos) << why;
  EXPECT_NE(why.find("parenthes"), std::string::npos) << why;
  EXPECT_NE(refusal("reward_format", {{"flags", "q"}}).find("`q`"), std::string::npos);
  EXPECT_NE(refusal("reward_format", {{"match", "some"}}).find("some"), std::string::npos);
}

TEST(Format, ASearchIsOneMatchHoweverManyPlacesItMayBeginAt) {
  const nlohmann::json options = {{"pattern", "<think>.*?</think>|b # or this"}, {"match", "search"}, {"flags", "sx"}};
  const Reward search("reward_format", options);
  EXPECT_EQ(search.score("so <think>a</think>").score, 1);
  EXPECT_EQ(search.score("so <think>, a").score, 0);
  EXPECT_EQ(search.score("b").score, 1) << "the other half of the pattern, anywhere too";
  const Reward verb("reward_format", {{"pattern", "(*ANYCRLF)a.c"}, {"match", "search"}, {"flags", ""}});
  EXPECT_EQ(verb.score("xabc").score, 1);
  std::string open;  // each of these would be a beginning with a limit of its own
  for (int i = 0; i < 20000; ++i) open += "<think>";
  const auto scored = search.score({{open, ""}});
  EXPECT_EQ(scored[0].status, GRPO_SAMPLE_ERROR);
  EXPECT_NE(scored[0].message.find("match limit"), std::string::npos) << scored[0].message;
}

TEST(Format, EndlessBacktrackingIsAnErrorOfItsSample) {
  const Reward format("reward_format", {{"pattern", "(a+)+[bc]"}});
  const auto scored = format.score({{std::string(60, 'a'), ""}, {"aab", ""}});
  EXPECT_EQ(scored[0].status, GRPO_SAMPLE_ERROR);
  EXPECT_NE(scored[0].message.find("match limit"), std::string::npos) << scored[0].message;
  EXPECT_EQ(scored[1].score, 1);
}

TEST(Tags, Shares) {
  const Reward tags("reward_tags");
  EXPECT_EQ(tags.score("<reasoning>a</reasoning><answer>5</answer>").score, 1);
  EXPECT_EQ(tags.score("<reasoning>a</reasoning><answer>5").score, 0.75);
  EXPECT_EQ(tags.score("<answer>5</answer>").score, 0.5);
  EXPECT_EQ(tags.score("<answer><answer>5</answer>").score, 0.25) << "twice is not once";
  EXPECT_EQ(tags.score("<answer>5</answer><reasoning>a</reasoning>").score, 0.5) << "out of order";
  EXPECT_EQ(tags.score("5").score, 0);
  EXPECT_EQ(tags.score("<reasoning>a</reasoning><answer>5</answer>").components["complete"], 1);
  EXPECT_EQ(Reward("reward_tags", {{"in_order", false}}).score("<answer>5</answer><reasoning>a</reasoning>").score, 1);
  const Reward strict("reward_tags", {{"tags", "think, answer"}, {"trailing_penalty", 0.01}});
  EXPECT_DOUBLE_EQ(strict.score("<think></think><answer></answer>\n wörd").score, 0.96);
  EXPECT_NE(refusal("reward_tags", {{"tags", "a,,b"}}).find("empty"), std::string::npos);
  EXPECT_NE(refusal("reward_tags", {{"tags", "<a>"}}).find("brackets"), std::string::npos);
}

TEST(Length, Forms) {
  const Reward target("reward_length", {{"target", 10}, {"tolerance", 5}});
  EXPECT_EQ(target.score("", "", 10).score, 1);
  EXPECT_EQ(target.score("", "", 15).score, 0);
  EXPECT_DOUBLE_EQ(target.score("", "", 9).score, 0.8);
  EXPECT_EQ(target.score("", "", 1000).score, -1);
  EXPECT_EQ(target.score("", "", 15).components, json::parse(R"({"tokens":15})"));
  const json line = {{"minimum", 10}, {"maximum", 20}};
  const auto at = [&](const char* form, int tokens) {
    json options = line;
    options["form"] = form;
    return Reward("reward_length", options).score("", "", tokens).score;
  };
  EXPECT_EQ(at("short", 5), 1);
  EXPECT_EQ(at("short", 15), 0.5);
  EXPECT_EQ(at("short", 50), 0);
  EXPECT_EQ(at("long", 15), 0.5);
  EXPECT_EQ(at("long", 50), 1);
  EXPECT_EQ(at("overlong", 10), 0);
  EXPECT_EQ(at("overlong", 15), -0.5);
  EXPECT_EQ(at("overlong", 50), -1);
  EXPECT_EQ(Reward("reward_length", {{"unit", "characters"}}).score("größe").components["characters"], 5);
  EXPECT_EQ(Reward("reward_length", {{"unit", "words"}}).score(" two  words\n").components["words"], 2);
  EXPECT_NE(refusal("reward_length", {{"form", "tall"}}).find("tall"), std::string::npos);
  EXPECT_NE(refusal("reward_length", {{"unit", "bytes"}}).find("bytes"), std::string::npos);
  EXPECT_NE(refusal("reward_length", {{"form", "short"}, {"minimum", 5}, {"maximum", 5}}).find("below"),
            std::string::npos);
}

}  // namespace
