// The rewriting of Oniguruma's expressions, and that what would mean something else is refused.
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "pattern.hpp"
#include "unicode.hpp"

namespace {

using grpo::text::Pattern;
using grpo::text::Regex;

std::string utf8(char32_t character) {
  std::string text;
  grpo::text::append_utf8(text, character);
  return text;
}

bool matches(const std::string& expression, const std::string& text) {
  const auto match = Regex(expression).find(text, 0);
  return match && match->begin == 0 && match->end == text.size();
}

TEST(Oniguruma, WhiteSpaceIsUnicodes) {
  const Regex space("\\s"), not_space("\\S"), in_class("[\\s!]"), not_in_class("[^\\s!]"), negated_in_class("[\\S]");
  for (char32_t c = 0; c < 0x3100; ++c) {
    const std::string text = utf8(c);
    const bool white = grpo::text::is_white_space(c);
    EXPECT_EQ(space.find(text, 0).has_value(), white) << static_cast<unsigned>(c);
    EXPECT_EQ(not_space.find(text, 0).has_value(), !white) << static_cast<unsigned>(c);
    EXPECT_EQ(negated_in_class.find(text, 0).has_value(), !white) << static_cast<unsigned>(c);
    EXPECT_EQ(in_class.find(text, 0).has_value(), white || c == '!') << static_cast<unsigned>(c);
    EXPECT_EQ(not_in_class.find(text, 0).has_value(), !white && c != '!') << static_cast<unsigned>(c);
  }
  EXPECT_FALSE(grpo::text::is_white_space(0x180E));
}

TEST(Oniguruma, DollarEndsALine) {
  EXPECT_TRUE(Regex("a$").find("a\nb", 0));
  EXPECT_FALSE(Regex("a$").find("a\rb", 0));
  EXPECT_TRUE(Regex("^b").find("a\nb", 0));
  EXPECT_FALSE(Regex("a.b").find("a\nb", 0));
  EXPECT_TRUE(Regex("(?m:a.b)").find("a\nb", 0));
}

TEST(Oniguruma, CaseFoldingIsUnicodes) {
  EXPECT_TRUE(matches("(?i:'s)", std::string("'").append(utf8(0x17F))));
  EXPECT_TRUE(matches("(?i:'k)", std::string("'").append(utf8(0x212A))));
  EXPECT_FALSE(matches("'s", "'S"));
}

TEST(Oniguruma, SpellsWhatDiffers) {
  EXPECT_TRUE(matches("\\h+", "0aF"));
  EXPECT_FALSE(matches("\\h", " "));
  EXPECT_TRUE(matches("a{,2}b", "aab"));
  EXPECT_TRUE(matches("a{b", "a{b"));
  EXPECT_TRUE(matches("\\u00e9", utf8(0xE9)));
  EXPECT_TRUE(matches("[[ab]c-]+", "abc-"));
  EXPECT_TRUE(matches("[\\s-x]+", " -x"));
  EXPECT_FALSE(matches("[\\s-x]", "y"));
  EXPECT_TRUE(matches("[]a]+", "]a"));
  EXPECT_TRUE(matches("\\w+", std::string("a").append(utf8(0x301)).append("1_")));
  EXPECT_TRUE(matches("\\p{Han}", utf8(0x4E00)));
  EXPECT_FALSE(matches("\\p{Han}", utf8(0x3001)));  // shared by scripts: an extension of Han, not Han
  EXPECT_TRUE(matches("\\p{^L}", "1"));
}

TEST(Oniguruma, RefusesWhatItCannotSay) {
  const std::vector<std::string> refused = {"\\bword", "[a&&b]", "[a[^b]]", "[[:alpha:]]",  "a{2}+", "\\R",
                                            "(?x: a)", "\\",     "[a",      "\\p{L",        "\\pL",  "\\1",
                                            "\\xE9",   "(*UTF)", "a(b",     "\\p{Nonsense}"};
  for (const std::string& expression : refused) {
    EXPECT_THROW(Regex{expression}, std::invalid_argument) << expression;
  }
}

TEST(Pattern, CoversTheTextWithEmptyMatches) {
  std::string trace;
  Pattern(Regex("x*")).for_each("axxb", [&](std::size_t begin, std::size_t end, bool is_match) {
    trace += std::to_string(begin) + "-" + std::to_string(end) + (is_match ? "m " : " ");
  });
  EXPECT_EQ(trace, "0-0m 0-1 1-3m 3-4 4-4m ");
}

TEST(Pattern, HandlesDeepMatches) {  // more than the machine's stack would hold
  const std::string text(2'000'000, 'a');
  EXPECT_TRUE(matches("(?:a|b)+", text));
}

}  // namespace
