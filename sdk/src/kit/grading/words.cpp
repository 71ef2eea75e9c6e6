// Numbers and times of day as a text says them: "forty-two", "10 a.m."
#include <algorithm>

#include "compare.hpp"
#include "text.hpp"

namespace grpo::kit::grading {
namespace {

constexpr std::string_view below_twenty[] = {
    "zero", "one",    "two",    "three",    "four",     "five",    "six",     "seven",     "eight",    "nine",
    "ten",  "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
constexpr std::string_view tens[] = {"twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"};
struct Scale {
  std::string_view word;
  long value;
};
constexpr Scale scales[] = {{"billion", 1'000'000'000}, {"million", 1'000'000}, {"thousand", 1000}};

// English number words, one after the other; numbers that are not said so are not read: "two three", "ten hundred one".
class Words {
 public:
  // Lower case; a space or a hyphen parts words.
  explicit Words(std::string_view s) : s_(s) {}

  // The whole text as a number, or -1.
  long all() {
    if (take("zero")) return done() ? 0 : -1;
    long total = 0, last = 0;
    for (const auto& [word, value] : scales) {
      const std::size_t start = at_;
      const long some = below_thousand();
      if (some > 0 && take(word)) {
        total += some * value;
        last = value;
      } else {
        at_ = start;
      }
    }
    if (done()) return total ? total : -1;
    const bool joined = last && take("and");  // "one thousand and five"
    const long rest = joined ? below_hundred() : below_thousand();
    return rest > 0 && done() ? total + rest : -1;
  }
  // "five", "ninety-nine": what may follow "and" in a number; -1 for anything else.
  long small() {
    const long n = below_hundred();
    return n > 0 && done() ? n : -1;
  }

 private:
  bool done() const { return at_ >= s_.size(); }

  bool take(std::string_view word) {
    if (s_.substr(at_, word.size()) != word) return false;
    const std::size_t end = at_ + word.size();
    if (end < s_.size() && s_[end] != ' ' && s_[end] != '-') return false;
    at_ = std::min(end + 1, s_.size());
    return true;
  }
  long unit(std::size_t from, std::size_t to) {
    for (std::size_t n = from; n < to; ++n)
      if (take(below_twenty[n])) return static_cast<long>(n);
    return 0;
  }
  long below_hundred() {
    for (std::size_t n = 0; n < std::size(tens); ++n)
      if (take(tens[n])) return static_cast<long>(n + 2) * 10 + unit(1, 10);
    return unit(1, std::size(below_twenty));
  }
  long below_thousand() {
    const std::size_t start = at_;
    const long hundreds = unit(1, 10);
    if (hundreds == 0 || !take("hundred")) {
      at_ = start;
      return below_hundred();
    }
    const std::size_t behind = at_;
    if (take("and")) {
      if (const long rest = below_hundred()) return hundreds * 100 + rest;
      at_ = behind;
    }
    return hundreds * 100 + below_hundred();
  }

  std::string_view s_;
  std::size_t at_ = 0;
};

std::string in_lower_case(std::string_view s) {
  std::string out(trimmed(s));
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

constexpr std::size_t longest = 120;  // of a number in words

}  // namespace

std::string number_in_words(std::string_view s) {
  if (s.empty() || s.size() > longest || !is_letter(s[0])) return {};
  const std::string text = in_lower_case(s);
  std::string_view rest = text;
  const bool negative = rest.substr(0, 6) == "minus " || rest.substr(0, 9) == "negative ";
  if (negative) rest.remove_prefix(rest.find(' ') + 1);
  const long n = Words(rest).all();
  return n < 0 ? std::string() : (negative ? "-" : "") + std::to_string(n);
}

bool and_is_of_a_number(std::string_view before, std::string_view behind) {
  const auto ends = [&](std::string_view word) {
    return before.size() > word.size() && in_lower_case(before.substr(before.size() - word.size())) == word &&
           before[before.size() - word.size() - 1] == ' ';
  };
  if (!ends("hundred") && !ends("thousand") && !ends("million") && !ends("billion")) return false;
  behind = behind.substr(0, std::min(behind.find(','), longest));
  return Words(in_lower_case(behind)).small() > 0;
}

std::string time_of_day(std::string_view s) {
  std::size_t i = 0;
  std::string digits;
  while (i < s.size() && i < 8 && (is_digit(s[i]) || s[i] == ':')) digits += s[i++];
  if (digits.empty() || !is_digit(digits[0])) return {};
  std::string half;
  for (; i < s.size() && half.size() < 3; ++i)
    if (s[i] != ' ' && s[i] != '.') half += lower(s[i]);
  if (i < s.size() || (half != "am" && half != "pm")) return {};
  while (digits.size() > 3 && digits.substr(digits.size() - 3) == ":00") digits.resize(digits.size() - 3);
  if (digits.size() > 1 && digits[0] == '0') digits.erase(0, 1);
  return digits + half;
}

}  // namespace grpo::kit::grading
