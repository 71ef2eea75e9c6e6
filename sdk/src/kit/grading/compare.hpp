// compare.hpp: what the files that compare two cleaned answers share.
#ifndef GRPO_KIT_GRADING_COMPARE_HPP
#define GRPO_KIT_GRADING_COMPARE_HPP

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace grpo::kit::grading {

// What is left to spend on a pair of answers.
struct Work {
  int nesting;
  int* comparisons;
  Work deeper() const { return {nesting + 1, comparisons}; }
};

// Whole or part, by every means: as text, as expressions, as structures.
bool parts_equal(const std::string& gold, const std::string& answer, Work work);
// Items of two lists, one by one.
bool same_in_order(const std::vector<std::string>& a, const std::vector<std::string>& b, Work work);

// ---- texts.cpp ----

// Spaces out but between figures, braces around one character out, letters of a text without digits and commands in
// lower case, without an article.
std::string compact(std::string_view s);
// The same but for spelling; "(C)" and "C. 12" choose what "C" does.
bool texts_equal(std::string_view gold, std::string_view answer);
// Walks s outside all brackets and calls f(position); f answers how many characters it took, 0 for none.
template <class F>
void at_top_level(std::string_view s, F f) {
  int depth = 0;
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '\\' && i + 1 < s.size() && (s[i + 1] == '{' || s[i + 1] == '}')) {
      depth += s[i + 1] == '{' ? 1 : -1;
      ++i;
      continue;
    }
    if (std::string_view("([{").find(s[i]) != std::string_view::npos) ++depth;
    if (std::string_view(")]}").find(s[i]) != std::string_view::npos) --depth;
    if (depth == 0)
      if (const std::size_t taken = f(i)) i += taken - 1;
  }
}
// At a separator outside all brackets; trimmed.
std::vector<std::string> split(std::string_view s, std::string_view separator);

// ---- quantities.cpp ----

bool expressions_equal(std::string_view gold, std::string_view answer);
// Plain decimals of any length: sign, digits without leading zeros, a point, places without trailing zeros; else "".
std::string plain_decimal(std::string_view s);
// 1,234,567.8 and nothing else.
bool has_thousands_separators(std::string_view s);
// 1000,99 and 0,5: a comma before the decimals. Only where the other side is that very number, and none that a list
// could mean: -3,0 is no spelling of -3.
bool same_with_decimal_comma(const std::string& plain, std::string_view other);
// "204_5" beside 204, 3:4 beside 3/4: what a reader takes for the same where one side leaves the rest out.
bool said_shorter(const std::string& full, const std::string& other);

// ---- relations.cpp ----

// a < b <= c: operands with the signs between them. Signs point left, and a chain of equals is its two ends.
struct Relation {
  std::vector<std::string> operands, signs;

  bool single() const { return signs.size() == 1; }
  bool is(std::string_view sign) const { return single() && signs[0] == sign; }
  const std::string& left() const { return operands.front(); }
  const std::string& right() const { return operands.back(); }
};

std::optional<Relation> relation(std::string_view s);
bool relations_equal(const Relation& a, const Relation& b, Work work);
// What inequalities, one or a list, say as intervals: x < 1, x > 3 is a union. "" where they say none.
std::string as_intervals(const std::string& s);
// The real line without some points, \mathbb{R} \setminus \{0\}, as the union of intervals that it is; "" for all else.
std::string without_points(const std::string& s);
// A name that an answer is given for: x, f(x), \theta, a_1, "Area", (x, y).
bool is_name(std::string_view s);

// ---- words.cpp ----

// "forty-two", "minus one hundred and five" in figures, below 10^12; "" for what is not a number in words and nothing
// else.
std::string number_in_words(std::string_view s);
// Is the "and" between them part of a number, "one hundred and five", and does not join two answers?
bool and_is_of_a_number(std::string_view before, std::string_view behind);
// 10 a.m., 10:00 AM as "10am"; "" where no half of the day is named.
std::string time_of_day(std::string_view s);

}  // namespace grpo::kit::grading

#endif
