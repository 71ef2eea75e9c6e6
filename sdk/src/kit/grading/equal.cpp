// Comparing two answers: whole, then as relations, lists, tuples, intervals, sets, matrices, part by part.
#include <algorithm>
#include <grpo/kit/grading.hpp>

#include "compare.hpp"
#include "expression.hpp"
#include "text.hpp"

namespace grpo::kit {
namespace grading {
namespace {

constexpr std::size_t max_parts = 64;     // lists longer than this are compared as text
constexpr std::size_t max_answer = 4000;  // so are answers longer than this
constexpr int max_nesting = 8;
constexpr int max_comparisons = 5000;  // of parts, in all: sets of sets of sets would be compared with each other

bool both_are_times(const std::string& a, const std::string& b) {
  return !time_of_day(a).empty() && !time_of_day(b).empty();
}

// A part of a structure: its unit does not count either.
bool items_equal(const std::string& a, const std::string& b, Work work) {
  if (parts_equal(a, b, work)) return true;
  if (both_are_times(a, b)) return false;  // am and pm are no units
  if ((a + b).find_first_of("()[]{}=<>,") != std::string::npos) return false;
  const std::string bare_a = without_unit(a), bare_b = without_unit(b);
  return (bare_a != a || bare_b != b) && !bare_a.empty() && !bare_b.empty() && parts_equal(bare_a, bare_b, work);
}

}  // namespace

bool same_in_order(const std::vector<std::string>& a, const std::vector<std::string>& b, Work work) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!items_equal(a[i], b[i], work)) return false;
  return true;
}

namespace {

bool same_in_any_order(const std::vector<std::string>& a, const std::vector<std::string>& b, Work work) {
  if (a.size() != b.size() || a.size() > max_parts) return false;
  std::vector<bool> used(b.size());
  for (const auto& part : a) {
    std::size_t j = 0;
    while (j < b.size() && (used[j] || !items_equal(part, b[j], work))) ++j;
    if (j == b.size()) return false;
    used[j] = true;
  }
  return true;
}

// Each one's items are all among the other's: {1, 2, 2} is {1, 2}.
bool same_sets(const std::vector<std::string>& a, const std::vector<std::string>& b, Work work) {
  if (a.size() > max_parts || b.size() > max_parts) return false;
  const auto within = [&](const auto& some, const auto& all) {
    return std::all_of(some.begin(), some.end(), [&](const auto& item) {
      return std::any_of(all.begin(), all.end(), [&](const auto& other) { return items_equal(item, other, work); });
    });
  };
  return within(a, b) && within(b, a);
}

std::vector<std::string> listed(const std::string& s);

// ---- brackets ----

// A whole text in one pair of brackets: what they are, and the inside.
struct Bracketed {
  std::string open, close;
  std::string_view inside;
};
std::optional<Bracketed> bracketed(std::string_view s) {
  Bracketed b;
  if (s.size() >= 4 && s.substr(0, 2) == "\\{" && s.substr(s.size() - 2) == "\\}") {
    b = {"\\{", "\\}", s.substr(2, s.size() - 4)};
  } else if (s.size() >= 2 && (s[0] == '(' || s[0] == '[') && (s.back() == ')' || s.back() == ']')) {
    b = {std::string(1, s[0]), std::string(1, s.back()), s.substr(1, s.size() - 2)};
  } else if (s.size() >= 2 && s[0] == '{' && s.back() == '}') {
    b = {"\\{", "\\}", s.substr(1, s.size() - 2)};
  } else {
    return std::nullopt;
  }
  int depth = 0;  // "(1,2), (3,4)" is no pair
  for (std::size_t i = 0; i < b.inside.size(); ++i) {
    const char c = b.inside[i];
    if (c == '(' || c == '[' || c == '{') ++depth;
    if ((c == ')' || c == ']' || c == '}') && --depth < 0) return std::nullopt;
  }
  return b;
}

bool brackets_equal(const Bracketed& a, const Bracketed& b, Work work) {
  const auto left = split(a.inside, ","), right = split(b.inside, ",");
  const bool sets = a.open == "\\{" && b.open == "\\{";
  if (sets) return same_sets(listed(std::string(a.inside)), listed(std::string(b.inside)), work);
  if (a.open != b.open || a.close != b.close) return false;
  return left.size() > 1 && same_in_order(left, right, work);
}

using Matrix = std::vector<std::vector<std::string>>;

// Rows of \begin{pmatrix} ... \end{pmatrix}, whatever the kind of bracket.
std::optional<Matrix> matrix(std::string_view s) {
  // A factor in front, as inverses have it: \frac{1}{5}\begin{pmatrix}...
  if (const auto begin = s.find("\\begin{"); begin != s.npos && begin > 0) {
    const std::string_view front = trimmed(s.substr(0, begin));
    const std::string factor(front == "-" ? "-1" : front);
    const std::string_view rest = s.substr(begin);
    const bool determinant = rest.substr(0, 14) == "\\begin{vmatrix" || rest.substr(0, 14) == "\\begin{Vmatrix";
    if (!determinant && rest.find("\\begin{", 1) == rest.npos && evaluate(factor)) {
      auto rows = matrix(rest);
      if (!rows) return rows;
      for (auto& row : *rows)
        for (auto& entry : row) entry = "(" + factor + ")(" + entry + ")";
      return rows;
    }
  }
  while (s.size() > 2 && (s[0] == '[' || s[0] == '(') && (s.back() == ']' || s.back() == ')') &&
         trimmed(s.substr(1)).substr(0, 7) == "\\begin{")
    s = trimmed(s.substr(1, s.size() - 2));  // \left[\begin{array}...
  if (s.substr(0, 7) != "\\begin{") return std::nullopt;
  const auto open_end = s.find('}');
  const auto close = s.rfind("\\end{");
  if (open_end == s.npos || close == s.npos || close < open_end || s.back() != '}') return std::nullopt;
  const std::string_view name = s.substr(7, open_end - 7);
  if (s.substr(close + 5) != std::string(name) + "}") return std::nullopt;
  if (name.find("matrix") == name.npos && name != "array") return std::nullopt;
  std::string_view body = trimmed(s.substr(open_end + 1, close - open_end - 1));
  if (name == "array" && !body.empty() && body[0] == '{') body = body.substr(std::min(body.find('}') + 1, body.size()));
  Matrix rows;
  for (const auto& row : split(body, "\\\\"))
    if (!row.empty()) rows.push_back(split(row, "&"));
  return rows;
}

bool matrices_equal(const Matrix& a, const Matrix& b, Work work) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!same_in_order(a[i], b[i], work)) return false;
  return !a.empty();
}

// 1 \pm 2 as its two values.
std::optional<std::vector<std::string>> both_signs(const std::string& s) {
  if (s.find("\\pm") == s.npos && s.find("\\mp") == s.npos) return std::nullopt;
  std::vector<std::string> out(2);
  for (std::size_t i = 0; i < s.size(); ++i) {
    const std::string_view here = std::string_view(s).substr(i, 3);
    if (here == "\\pm" || here == "\\mp") {
      out[0] += here == "\\pm" ? '+' : '-';
      out[1] += here == "\\pm" ? '-' : '+';
      i += 2;
    } else {
      out[0] += s[i];
      out[1] += s[i];
    }
  }
  return out;
}

std::vector<std::string> listed(const std::string& s) {
  std::vector<std::string> out;
  for (auto& part : split(s, ",")) {
    if (part.empty()) continue;  // "2, and 3" has two commas by now
    if (auto two = both_signs(part)) {
      out.insert(out.end(), two->begin(), two->end());
    } else {
      out.push_back(std::move(part));
    }
  }
  return out;
}

bool structures_equal(const std::string& gold, const std::string& answer, Work work) {
  const auto ga = relation(gold), gb = relation(answer);
  const auto value_of = [](const std::optional<Relation>& r) { return r && (r->is("=") || r->is("\\in")); };
  if (ga && gb && (ga->signs == gb->signs || !(ga->is("\\in") || gb->is("\\in"))))
    return relations_equal(*ga, *gb, work);
  const std::string ia = as_intervals(gold), ib = as_intervals(answer);
  if (!ia.empty() || !ib.empty()) {  // an inequality, and a set that may say the same
    const auto set_in = [&](const std::string& s, const std::optional<Relation>& r, const std::string& i) {
      return !i.empty() ? i : value_of(r) && is_name(r->left()) ? r->right() : s;
    };
    return parts_equal(set_in(gold, ga, ia), set_in(answer, gb, ib), work);
  }
  if ((ga && !value_of(ga)) || (gb && !value_of(gb))) return false;
  if (value_of(ga) || value_of(gb)) {  // "x = 5" answers "5"
    const auto names = [](const std::optional<Relation>& r) { return r && (r->left().empty() || is_name(r->left())); };
    if (names(ga)) return parts_equal(ga->right(), answer, work);
    if (names(gb)) return parts_equal(gold, gb->right(), work);
    return false;
  }
  const std::string wa = without_points(gold), wb = without_points(answer);
  if (!wa.empty() || !wb.empty()) return parts_equal(wa.empty() ? gold : wa, wb.empty() ? answer : wb, work);
  const auto unions_a = split(gold, "\\cup"), unions_b = split(answer, "\\cup");
  if (unions_a.size() > 1 || unions_b.size() > 1) return same_in_any_order(unions_a, unions_b, work);
  const auto set_of = [](const std::string& s) {
    const std::string_view t = trimmed(s);
    return t == "\\mathbb{R}" || t == "all real numbers" ? std::string("(-\\infty, \\infty )")
           : t == "\\{\\}" || t == "\\{ \\}"             ? std::string("\\emptyset")
                                                         : s;
  };
  if (const std::string named_a = set_of(gold), named_b = set_of(answer); named_a != gold || named_b != answer)
    return named_a == named_b || texts_equal(named_a, named_b) ||
           (named_a.front() == '(' && named_b.front() == '(' && parts_equal(named_a, named_b, work));
  const auto ma = matrix(gold), mb = matrix(answer);
  if (ma && mb) return matrices_equal(*ma, *mb, work);
  const auto ba = bracketed(gold), bb = bracketed(answer);
  if (ba && bb && brackets_equal(*ba, *bb, work)) return true;
  // A pair and its values in their order: (1, 2), and 1, 2 or x = 1, y = 2.
  const auto in_order = [&](const std::optional<Bracketed>& pair, const std::string& whole,
                            const std::optional<Bracketed>& other) {
    if (!pair || pair->open != "(" || pair->close != ")" || (other && other->open != "\\{")) return false;
    if (pair->inside.find("\\infty") != std::string_view::npos) return false;
    const auto values = split(pair->inside, ",");
    return values.size() > 1 &&
           same_in_order(values, split(other ? other->inside : std::string_view(whole), ","), work);
  };
  if (in_order(ba, answer, bb) || in_order(bb, gold, ba)) return true;
  // A set and a bare list name the same values.
  const auto items = [](const std::string& s, const std::optional<Bracketed>& b) {
    return listed(b && b->open == "\\{" ? std::string(b->inside) : s);
  };
  if (ba && bb) return false;
  const auto la = items(gold, ba), lb = items(answer, bb);
  if (la.size() <= 1 && lb.size() <= 1 && !ba && !bb) return false;
  return same_in_any_order(la, lb, work);
}

bool has_top_level_comma(const std::string& s) {
  bool found = false;
  at_top_level(s, [&](std::size_t i) -> std::size_t {
    found |= s[i] == ',';
    return 0;
  });
  return found;
}

}  // namespace

bool parts_equal(const std::string& gold, const std::string& answer, Work work) {
  if (texts_equal(gold, answer)) return true;
  if (--*work.comparisons < 0) return false;
  if (gold.size() > max_answer || answer.size() > max_answer || work.nesting >= max_nesting) return false;
  if (expressions_equal(gold, answer)) return true;
  if (both_are_times(gold, answer)) return time_of_day(gold) == time_of_day(answer);
  const std::string gold_said = number_in_words(gold), answer_said = number_in_words(answer);
  if (!gold_said.empty() || !answer_said.empty())
    return expressions_equal(gold_said.empty() ? gold : gold_said, answer_said.empty() ? answer : answer_said);
  // x = 1, y = 2: the commas bind looser than the equals signs.
  if (has_top_level_comma(gold) && has_top_level_comma(answer)) {
    const auto a = listed(gold), b = listed(answer);
    if (a.size() > 1 && a.size() == b.size() && same_in_any_order(a, b, work.deeper())) return true;
  }
  return structures_equal(gold, answer, work.deeper());
}

namespace {

bool cleaned_equal(const std::string& gold, const std::string& answer) {
  const std::string plain = plain_decimal(gold), other = plain_decimal(answer);
  if (!plain.empty() && plain == other) return true;
  if (same_with_decimal_comma(plain, answer) || same_with_decimal_comma(other, gold)) return true;
  int comparisons = max_comparisons;
  return parts_equal(gold, answer, Work{0, &comparisons}) || said_shorter(gold, answer) || said_shorter(answer, gold);
}

}  // namespace
}  // namespace grading

std::string normalize_answer(std::string_view answer) {
  std::string cleaned = grading::without_unit(grading::clean(answer));
  if (grading::has_thousands_separators(cleaned)) std::erase(cleaned, ',');
  const std::string plain = grading::plain_decimal(cleaned);
  if (plain.empty()) return grading::compact(cleaned);
  const std::string_view digits = plain.back() == '.' ? std::string_view(plain).substr(0, plain.size() - 1) : plain;
  const bool bare_point = digits.empty() || digits[0] == '.' || digits.substr(0, 2) == "-.";
  if (!bare_point) return std::string(digits);
  const bool negative = !digits.empty() && digits[0] == '-';
  return std::string(negative ? "-0" : "0").append(digits.substr(negative ? 1 : 0));
}

bool answers_equal(std::string_view gold, std::string_view answer) {
  const std::string a = grading::clean(gold), b = grading::clean(answer);
  if (a.empty() || b.empty()) return false;
  if (grading::cleaned_equal(a, b)) return true;
  const std::string bare_a = grading::without_unit(a), bare_b = grading::without_unit(b);
  if ((bare_a == a && bare_b == b) || grading::both_are_times(a, b)) return false;
  return !bare_a.empty() && !bare_b.empty() && grading::cleaned_equal(bare_a, bare_b);
}

}  // namespace grpo::kit
