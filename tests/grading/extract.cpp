// Finding answers in completions.
#include <gtest/gtest.h>

#include <grpo/kit/grading.hpp>
#include <string>

namespace {
using grpo::kit::AnswerForm;
using grpo::kit::extract_answer;
using grpo::kit::extract_gold;
using grpo::kit::find_answer;

std::string found(std::string_view s) { return extract_answer(s).value_or("<none>"); }

TEST(Extract, Boxed) {
  EXPECT_EQ(found("So \\boxed{5}."), "5");
  EXPECT_EQ(found("\\boxed{1} then \\boxed{2}"), "2");
  EXPECT_EQ(found("\\boxed{\\frac{1}{\\sqrt{2}}}"), "\\frac{1}{\\sqrt{2}}");
  EXPECT_EQ(found("\\boxed{\\{1, 2\\}}"), "\\{1, 2\\}");
  EXPECT_EQ(found("\\boxed{\\left\\{ 1 \\right.}"), "\\left\\{ 1 \\right.");
  EXPECT_EQ(found("$\\boxed 5$"), "5");
  EXPECT_EQ(found("$\\boxed\\frac{3}{4}$ is it"), "\\frac{3}{4}");
  EXPECT_EQ(found("\\fbox{7}"), "7");
  EXPECT_EQ(found("\\boxed {8}"), "8");
  EXPECT_EQ(found("\\boxed{\\boxed{9}}"), "9");
  EXPECT_EQ(found("\\boxed{1} and \\boxed{2"), "1") << "what never closes is no answer";
  EXPECT_EQ(found("\\boxed{2"), "<none>");
  EXPECT_EQ(found("\\boxed{}"), "<none>");
  EXPECT_EQ(found("\\boxedness{3}"), "<none>");
  EXPECT_EQ(found("} } stray \\boxed{4} {"), "4");
}

TEST(Extract, SeveralBoxes) {
  EXPECT_EQ(found("so $x=\\boxed{1}$ or $x=\\boxed{-2}$."), "1, -2");
  EXPECT_EQ(found("\\boxed{1}, \\boxed{2} and \\boxed{3}"), "1, 2, 3");
  EXPECT_EQ(found("\\boxed{5}, \\boxed{5}"), "5") << "said twice";
  EXPECT_EQ(found("\\boxed{15\\frac{39}{40}}, or $\\boxed{\\frac{639}{40}}$"), "15\\frac{39}{40}") << "in two ways";
  EXPECT_EQ(found("\\boxed{5}\n\\boxed{6}"), "6") << "nothing joins them";
  EXPECT_EQ(found("first \\boxed{3}, and with what we know \\boxed{4}"), "4");
  EXPECT_EQ(found("\\boxed 3 or \\boxed 4"), "3, 4");
}

TEST(Extract, Tag) {
  EXPECT_EQ(found("<answer>1</answer> <answer> 2 </answer>"), "2");
  EXPECT_EQ(found("<Answer>\\boxed{3}</Answer>"), "3");
  EXPECT_EQ(found("<think>\\boxed{3}</think><answer>4</answer>"), "4") << "the tag is later than the thought";
  EXPECT_EQ(found("\\boxed{3} <answer>4</answer>"), "4");
  EXPECT_EQ(found("<answer>The answer is 5.</answer>"), "5");
  EXPECT_EQ(found("<answer>6"), "6") << "a stop text cut the tag's end off";
  EXPECT_EQ(found("<answer></answer>"), "<none>");
}

TEST(Extract, HashesAndPhrases) {
  EXPECT_EQ(found("2+2=<<2+2=4>>4\n#### 4"), "4");
  EXPECT_EQ(found("#### 1,234\n"), "1,234");
  EXPECT_EQ(found("#### -5\nmore"), "-5");
  EXPECT_EQ(found("#### Step one\nwe add. The answer is 12."), "12") << "a heading";
  EXPECT_EQ(found("The answer is 5."), "5");
  EXPECT_EQ(found("the answer is $\\frac{1}{2}$. I hope it is correct."), "\\frac{1}{2}");
  EXPECT_EQ(found("Final Answer: The final answer is $7$. I hope it is correct."), "7");
  EXPECT_EQ(found("**Final Answer:**\n\n42"), "42");
  EXPECT_EQ(found("Answer: 3.5 apples"), "3.5 apples");
  EXPECT_EQ(found("The answer is 1. No, the answer is 2!"), "2");
  EXPECT_EQ(found("The answer is $18."), "$18");
  EXPECT_EQ(found("Final Answer: The volume of $ABC$ is 120. I hope it is correct."), "120");
  EXPECT_EQ(found("The answer is $x=5$, and that is it."), "x=5");
  EXPECT_EQ(found("I do not know"), "<none>");
  EXPECT_EQ(found(""), "<none>");
}

TEST(Extract, Options) {
  EXPECT_FALSE(extract_answer("we get 12 and 7/8 of it"));
  EXPECT_EQ(*extract_answer("we get 12 and 7/8 of it", {.last_number = true}), "7/8");
  EXPECT_EQ(*extract_answer("it costs $1,250.50.", {.last_number = true}), "1,250.50");
  EXPECT_EQ(*extract_answer("down to -3", {.last_number = true}), "-3");
  EXPECT_EQ(*extract_answer("5-3", {.last_number = true}), "3");
  EXPECT_FALSE(extract_answer("<answer>5</answer>", {.boxed_only = true}));
  EXPECT_EQ(find_answer("#### 3")->form, AnswerForm::hashes);
  EXPECT_EQ(find_answer("\\boxed{3}")->form, AnswerForm::boxed);
  EXPECT_EQ(find_answer("<answer>3</answer>")->form, AnswerForm::tag);
  EXPECT_EQ(find_answer("answer is 3")->form, AnswerForm::phrase);
}

TEST(Extract, Gold) {
  EXPECT_EQ(extract_gold("She pays 18 * 4 = 72.\n#### 72"), "72");
  EXPECT_EQ(extract_gold("Thus $x = \\boxed{\\frac{1}{2}}$."), "\\frac{1}{2}");
  EXPECT_EQ(extract_gold(" \\frac{1}{2} "), "\\frac{1}{2}");
  EXPECT_EQ(extract_gold("the answer is 3"), "the answer is 3");
}

// A quadratic walk over 1 MB runs into the time limit of the test program.
TEST(Extract, LinearInTheText) {
  for (std::string_view piece :
       {"\\boxed{", "\\boxed", "<answer>", "</answer>", "####", "#### \n", "the answer is ", "{", "}", "\\", "$", ".",
        "answer: $", "</think>", "\\boxed ", "1,", "final answer\n", "\\fbox {\\"}) {
    std::string s;
    while (s.size() < 1'000'000) s += piece;
    extract_answer(s, {.last_number = true});
    extract_answer(s + "\\boxed{5}", {.last_number = true});
    EXPECT_EQ(extract_answer(s + "\n<answer>\\boxed{5}</answer>").value_or(""), "5") << piece;
  }
}

}  // namespace
