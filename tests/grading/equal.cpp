// Comparing answers: against math-verify on pairs of known truth, and the bounds on work.
#include <gtest/gtest.h>

#include <fstream>
#include <grpo/kit/grading.hpp>
#include <nlohmann/json.hpp>
#include <string>

namespace {
using grpo::kit::answers_equal;
using grpo::kit::normalize_answer;

TEST(Equal, AgreesWithMathVerifyWhereItIsRight) {
  std::ifstream file(GRPO_TEST_DATA "/pairs.jsonl");
  int pairs = 0, like_the_peer = 0;
  for (std::string line; std::getline(file, line);) {
    const auto row = nlohmann::json::parse(line);
    const bool equal = row["equal"];
    EXPECT_EQ(answers_equal(row["gold"].get<std::string>(), row["answer"].get<std::string>()), equal) << line;
    if (row["math_verify"] == equal) {
      ++like_the_peer;
    } else {
      EXPECT_FALSE(row["differs"].get<std::string>().empty()) << line;
    }
    ++pairs;
  }
  EXPECT_GE(pairs, 400);
  EXPECT_GE(like_the_peer, pairs * 9 / 10);
}

TEST(Equal, LongNumbersAreExact) {
  const std::string a = "1" + std::string(1500, '0'), b = std::string(1500, '9');
  EXPECT_TRUE(answers_equal(a, "10^{1500}"));
  EXPECT_TRUE(answers_equal(a, b + "+1"));
  EXPECT_FALSE(answers_equal(a, b));
  EXPECT_FALSE(answers_equal(a, a.substr(0, a.size() - 1) + "1"));
  const std::string huge(200000, '7');
  EXPECT_TRUE(answers_equal(huge, "00" + huge + ".000"));
  EXPECT_FALSE(answers_equal(huge, huge + "7"));
  EXPECT_FALSE(answers_equal("2^{5000}", "2^{5000}+1"));
  EXPECT_FALSE(answers_equal("2^{50000}", "2^{50000}+1"));
}

TEST(Equal, NearIsNotEqual) {
  EXPECT_FALSE(answers_equal("10^{20}", "10^{20}+1"));
  EXPECT_FALSE(answers_equal("\\sqrt{2}", "\\sqrt{2}+10^{-11}"));
  EXPECT_FALSE(answers_equal("6.63e-34", "0"));
  EXPECT_FALSE(answers_equal("6.63 \\times 10^{-34} \\pi", "0"));
  EXPECT_FALSE(answers_equal("0.000001", "0.0000012"));
  EXPECT_TRUE(answers_equal("\\sin(\\pi)", "0"));
  EXPECT_FALSE(answers_equal("1/0", "2/0"));
}

// An exponential or quadratic walk runs into the time limit of the test program.
TEST(Equal, TowersAndNestsReturnAtOnce) {
  const auto nest = [](std::string_view open, std::string_view close, int n) {
    std::string s;
    for (int i = 0; i < n; ++i) s += open;
    s += "1";
    for (int i = 0; i < n; ++i) s += close;
    return s;
  };
  EXPECT_FALSE(answers_equal("5", "10^{10^{10^{10}}}"));
  EXPECT_FALSE(answers_equal("5", "9^9^9^9^9^9^9^9^9"));
  EXPECT_FALSE(answers_equal("5", "99999999!"));
  EXPECT_FALSE(answers_equal("5", "99999999!!!!"));
  EXPECT_FALSE(answers_equal("5", "\\binom{999999999}{99999999}"));
  for (const auto& [open, close] : {std::pair{"(", ")"},
                                    {"{", "}"},
                                    {"\\frac{1}{", "}"},
                                    {"\\sqrt{", "}"},
                                    {"\\{", "\\}"},
                                    {"-", ""},
                                    {"2^", ""},
                                    {"1,", ""},
                                    {"x=", ""},
                                    {"\\text{", "}"},
                                    {"|", "|"},
                                    {"\\pm ", ""},
                                    {"(1,", ")"},
                                    {"\\sin ", ""},
                                    {"[1\\cup ", ")"},
                                    {"^", ""},
                                    {"%", "%"}}) {
    for (int n : {50, 500, 100000}) {
      const std::string s = nest(open, close, n);
      answers_equal(s, "5");
      answers_equal(nest("(", ")", n), s);
      EXPECT_TRUE(answers_equal(s, s) || normalize_answer(s).empty()) << open << n;
    }
  }
  // Sets of sets: everything might be compared with everything, at every level.
  const auto sets = [](const char* last, const char* open, const char* close) {
    std::string s = last;
    for (int i = 0; i < 9; ++i) s = std::string(open) + s + ", " + (i == 0 ? "2" : s) + close;
    return s;
  };
  for (const auto& [open, close] : {std::pair{"\\{", "\\}"}, {"(", ")"}, {"[", ")"}, {"x=\\{", "\\}"}})
    EXPECT_FALSE(answers_equal(sets("3", open, close), sets("4", open, close)));
  const std::string powers = [] {
    std::string s = "2^{6000}";
    for (int i = 0; i < 180; ++i) s += "+2^{6000}";
    return s;
  }();
  answers_equal(powers, "7");
}

TEST(Equal, AnyBytesMayCome) {
  const std::string bytes("\xff\xfe\0\x80\xc3(\\", 7);
  EXPECT_TRUE(answers_equal(bytes, bytes));
  EXPECT_FALSE(answers_equal("5", bytes));
  std::uint32_t seed = 1;
  const std::string_view alphabet = "\\{}()[]^_$%,.- =+*/|!&<>0123456789abefinpstxFRxcqr\xe2\x88\x92\0";
  for (int i = 0; i < 20000; ++i) {
    std::string a, b;
    for (int k = 0; k < 40; ++k) {
      seed = seed * 1664525u + 1013904223u;
      (k % 2 ? a : b) += alphabet[(seed >> 8) % alphabet.size()];
    }
    EXPECT_EQ(answers_equal(a, b), answers_equal(b, a)) << a << " | " << b;
    EXPECT_TRUE(answers_equal(a, a) || normalize_answer(a).empty()) << a;
  }
}

TEST(Normalize, OneSpelling) {
  EXPECT_EQ(normalize_answer(" $\\$1{,}234.50$. "), "1234.5");
  EXPECT_EQ(normalize_answer("\\dfrac{1}{2}"), normalize_answer("\\frac12"));
  EXPECT_EQ(normalize_answer("\\left( 3, \\frac{\\pi}{2} \\right)"), "(3,\\frac{\\pi}2)");
  EXPECT_EQ(normalize_answer("-0.50 \\text{ cm}"), "-0.5");
  EXPECT_EQ(normalize_answer("-0"), "0");
  EXPECT_EQ(normalize_answer("\\text{Navin}"), "navin");
  EXPECT_EQ(normalize_answer("x^{2}"), "x^2");
}

}  // namespace
