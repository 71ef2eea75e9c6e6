// Comparing two answers: whole, then as relations, lists, tuples, intervals, sets, matrices, part by part.
#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <grpo/kit/grading.hpp>
#include <vector>

#include "expression.hpp"
#include "text.hpp"

namespace grpo::kit {
namespace grading {
namespace {

constexpr std::size_t max_parts = 64;     // lists longer than this are compared as text
constexpr std::size_t max_answer = 4000;  // so are answers longer than this
constexpr int max_nesting = 8;
constexpr int max_comparisons = 5000;  // of parts, in all: sets of sets of sets would be compared with each other

// What is left to spend on a pair of answers.
struct Work {
  int nesting;
  int* comparisons;
  Work deeper() const { return {nesting + 1, comparisons}; }
};

bool parts_equal(const std::string& gold, const std::string& answer, Work work);
bool is_name(std::string_view s);
std::vector<std::string> listed(const std::string& s);

// The text without "a", "an", "the" in front.
std::string_view without_article(std::string_view s) {
  for (std::string_view article : {"a ", "an ", "the "})
    if (starts_with_ignoring_case(s, article) && s.size() > article.size() + 2 && is_letter(s[article.size()]) &&
        is_letter(s[article.size() + 1]))
      return s.substr(article.size());
  return s;
}

// Spaces out but between figures, braces around one character out, letters of a text without digits and commands in
// lower case, without an article.
std::string compact(std::string_view s) {
  s = without_article(s);
  std::string out;
  out.reserve(s.size());
  bool words = true;
  for (std::size_t i = 0; i < s.size(); ++i) {
    const bool between_figures = s[i] == ' ' && i > 0 && i + 1 < s.size() && is_digit(s[i - 1]) && is_digit(s[i + 1]);
    if (s[i] == ' ' && !between_figures) continue;
    if (s[i] == '{' && i + 2 < s.size() && s[i + 2] == '}' && s[i + 1] != '\\' && (i == 0 || s[i - 1] != '\\')) {
      out += s[++i];
      ++i;
    } else {
      out += s[i];
    }
    if (!is_letter(out.back()) && std::string_view("-'().").find(out.back()) == std::string_view::npos) words = false;
  }
  if (words) std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

// "(C)", "C)" and "C" choose the same.
std::string_view choice(std::string_view s) {
  if (s.size() == 3 && s[0] == '(' && s[2] == ')' && is_letter(s[1])) return s.substr(1, 1);
  if (s.size() == 2 && s[1] == ')' && is_letter(s[0])) return s.substr(0, 1);
  return s;
}
// The letter of "(C) 12" and "C. 12"; else nothing.
char chosen(std::string_view s) {
  if (s.size() < 3) return 0;
  const std::size_t at = s[0] == '(' ? 1 : 0;
  const bool marked = at ? s[2] == ')' : s[1] == ')' || s[1] == '.' || s[1] == ':';
  const std::string_view rest = trimmed(s.substr(at ? 3 : 2));
  return marked && (rest.empty() || rest[0] != ',') && s[at] >= 'A' && s[at] <= 'J' ? s[at] : '\0';
}

bool texts_equal(std::string_view gold, std::string_view answer) {
  const std::string a = compact(gold), b = compact(answer);
  if (a.empty()) return false;
  if (choice(a) == choice(b)) return true;
  const auto chooses = [](std::string_view one, std::string_view other) {
    const std::string_view letter = choice(trimmed(one));
    return letter.size() == 1 && is_letter(letter[0]) && chosen(trimmed(other)) == letter[0];
  };
  return chooses(gold, answer) || chooses(answer, gold);
}

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

std::vector<std::string> split(std::string_view s, std::string_view separator) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  at_top_level(s, [&](std::size_t i) -> std::size_t {
    if (s.substr(i, separator.size()) != separator) return 0;
    parts.emplace_back(trimmed(s.substr(start, i - start)));
    start = i + separator.size();
    return separator.size();
  });
  parts.emplace_back(trimmed(s.substr(start)));
  return parts;
}

// A part of a structure: its unit does not count either.
bool items_equal(const std::string& a, const std::string& b, Work work) {
  if (parts_equal(a, b, work)) return true;
  if ((a + b).find_first_of("()[]{}=<>,") != std::string::npos) return false;
  const std::string bare_a = without_unit(a), bare_b = without_unit(b);
  return (bare_a != a || bare_b != b) && !bare_a.empty() && !bare_b.empty() && parts_equal(bare_a, bare_b, work);
}

bool same_in_order(const std::vector<std::string>& a, const std::vector<std::string>& b, Work work) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!items_equal(a[i], b[i], work)) return false;
  return true;
}

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

// ---- numbers and expressions ----

struct Quantity {
  Value value;
  bool percent;
  std::optional<std::size_t> places;
};

std::optional<Quantity> quantity(std::string_view s, Reading reading) {
  s = trimmed(s);
  const bool percent = !s.empty() && s.back() == '%';
  if (percent) s = trimmed(s.substr(0, s.size() - 1));
  auto v = evaluate(s, reading);
  if (!v) return std::nullopt;
  return Quantity{std::move(*v), percent, decimal_places(s)};
}

// A decimal with six places or more is taken for a rounding: 0.333333 equals 1/3, and 0.33 does not.
bool rounds_to(const Value& decimal_value, std::optional<std::size_t> places, const Value& other) {
  constexpr std::size_t enough = 6;
  if (!places || *places < enough || !decimal_value.exact) return false;
  // Six digits must say something: 0.000001 is no rounding of 0.0000012.
  if (decimal_value.exact->numerator.digits() < enough) return false;
  if (other.exact) return equal_to_places(*decimal_value.exact, *other.exact, *places);
  if (*places > 14 || other.at[0] != other.at[1] || other.at[0].imag() != 0) return false;
  return std::abs(decimal_value.at[0] - other.at[0]) <= 0.5000001 * std::pow(10.0, -static_cast<double>(*places));
}

bool values_equal(const Quantity& a, const Value& va, const Quantity& b, const Value& vb) {
  return same(va, vb) || rounds_to(va, a.places, vb) || rounds_to(vb, b.places, va);
}

bool quantities_equal(const Quantity& a, const Quantity& b) {
  if (values_equal(a, a.value, b, b.value)) return true;
  // "10%" is 10 and 0.1 to a reader; two percentages are compared as they stand.
  if (a.percent == b.percent) return false;
  return a.percent ? same(hundredth(a.value), b.value) : same(a.value, hundredth(b.value));
}

bool expressions_equal(std::string_view gold, std::string_view answer) {
  const auto either_has = [&](std::string_view part) {
    return gold.find(part) != gold.npos || answer.find(part) != answer.npos;
  };
  Reading reading;
  reading.negative_variables = either_has("|");  // |x| is not x
  const auto a = quantity(gold, reading);
  if (!a) return false;
  const auto b = quantity(answer, reading);
  if (!b) return false;
  if (quantities_equal(*a, *b)) return true;
  if (!either_has("log")) return false;
  reading.decimal_log = true;  // \log 100 is 2 to some
  const auto c = quantity(gold, reading), d = quantity(answer, reading);
  return c && d && quantities_equal(*c, *d);
}

// Plain decimals of any length: sign, digits without leading zeros, places without trailing ones.
std::string plain_decimal(std::string_view s) {
  bool negative = false;
  if (!s.empty() && (s[0] == '-' || s[0] == '+')) {
    negative = s[0] == '-';
    s.remove_prefix(1);
  }
  const auto point = s.find('.');
  std::string_view whole = s.substr(0, point), places = point == s.npos ? std::string_view() : s.substr(point + 1);
  if ((whole.empty() && places.empty()) || !std::all_of(whole.begin(), whole.end(), is_digit) ||
      !std::all_of(places.begin(), places.end(), is_digit))
    return {};
  while (!whole.empty() && whole.front() == '0') whole.remove_prefix(1);
  while (!places.empty() && places.back() == '0') places.remove_suffix(1);
  return std::string(negative && !(whole.empty() && places.empty()) ? "-" : "")
      .append(whole)
      .append(".")
      .append(places);
}

// 1,234,567.8 and nothing else.
bool has_thousands_separators(std::string_view s) {
  if (!s.empty() && s[0] == '-') s.remove_prefix(1);
  s = s.substr(0, s.find('.'));
  std::size_t group = 0, groups = 0;
  for (char c : s) {
    if (c == ',') {
      if (groups ? group != 3 : group == 0 || group > 3) return false;
      ++groups;
      group = 0;
    } else if (is_digit(c)) {
      ++group;
    } else {
      return false;
    }
  }
  return groups > 0 && group == 3;
}

// 1000,99 and 0,5: a comma before the decimals. Only where the other side is that very number, and none that a list
// could mean: -3,0 is no spelling of -3.
bool same_with_decimal_comma(const std::string& plain, std::string_view other) {
  if (plain.empty() || plain.back() == '.') return false;
  const auto comma = other.find(',');
  if (comma == other.npos) return false;
  const std::string_view whole = other.substr(0, comma);
  if (whole != "0" && whole != "-0" && has_thousands_separators(other)) return false;
  std::string point(other);
  point[comma] = '.';
  return plain == plain_decimal(point);
}

// ---- relations ----

// a < b <= c: operands with the signs between them.
struct Relation {
  std::vector<std::string> operands, signs;

  bool single() const { return signs.size() == 1; }
  bool is(std::string_view sign) const { return single() && signs[0] == sign; }
  const std::string& left() const { return operands.front(); }
  const std::string& right() const { return operands.back(); }
};

std::optional<Relation> relation(std::string_view s) {
  static constexpr std::string_view signs[] = {
      "\\le ", "\\ge ", "\\ne ", "\\in ", "\\approx ", "<=", ">=", "!=", "=", "<", ">"};
  Relation r;
  std::size_t start = 0;
  bool comma = false, list = false;  // x = 1, y = 2 is no chain; n = 1, 2 is one relation
  bool near_enough = false;          // x = 1/3 \approx 0.33: what counts stands before
  at_top_level(s, [&](std::size_t i) -> std::size_t {
    for (std::string_view sign : signs) {
      if (near_enough || s.substr(i, sign.size()) != sign) continue;
      list |= comma;
      r.operands.emplace_back(trimmed(s.substr(start, i - start)));
      start = i + sign.size();
      near_enough = sign == "\\approx " && (!r.signs.empty() || !is_name(r.operands.back()));
      if (!near_enough) r.signs.emplace_back(sign == "\\approx " ? "=" : trimmed(sign));
      return sign.size();
    }
    comma |= s[i] == ',' && !r.signs.empty();
    return 0;
  });
  if (list) return std::nullopt;
  if (!near_enough) {
    if (r.signs.empty()) return std::nullopt;
    r.operands.emplace_back(trimmed(s.substr(start)));
  }
  if (r.signs.empty()) return Relation{{"", r.operands[0]}, {"="}};  // 1/3 \approx 0.33
  for (auto& sign : r.signs) {
    if (sign == "<=") sign = "\\le";
    if (sign == ">=") sign = "\\ge";
    if (sign == "!=") sign = "\\ne";
  }
  const auto all = [&](std::string_view one, std::string_view two) {
    return std::all_of(r.signs.begin(), r.signs.end(), [&](const auto& sign) { return sign == one || sign == two; });
  };
  // A chain of equals, x = 2y = 4: what counts is the first left side and the last right side.
  if (all("=", "=")) return Relation{{r.operands.front(), r.operands.back()}, {"="}};
  // Turned so that it points left: x > 2 is 2 < x.
  if (all(">", "\\ge")) {
    std::reverse(r.operands.begin(), r.operands.end());
    std::reverse(r.signs.begin(), r.signs.end());
    for (auto& sign : r.signs) sign = sign == ">" ? "<" : "\\le";
  }
  return r;
}

// x < 3, 1 <= x < 3 as the interval that they say, or "".
std::string interval(const Relation& r) {
  const auto below = [&](std::size_t i) { return r.signs[i] == "<" || r.signs[i] == "\\le"; };
  const auto open = [&](std::size_t i) { return r.signs[i] == "<"; };
  if (!std::all_of(r.operands.begin(), r.operands.end(), [](const auto& o) { return !o.empty(); })) return {};
  if (r.single() && below(0)) {
    if (is_name(r.left())) return "(-\\infty, " + r.right() + (open(0) ? ")" : "]");
    if (is_name(r.right())) return (open(0) ? "(" : "[") + r.left() + ", \\infty )";
  }
  if (r.signs.size() == 2 && below(0) && below(1) && is_name(r.operands[1]))
    return (open(0) ? "(" : "[") + r.left() + ", " + r.right() + (open(1) ? ")" : "]");
  return {};
}

// A name that an answer is given for: x, f(x), \theta, a_1, "Area".
bool is_name(std::string_view s) {
  s = trimmed(s);
  if (s.substr(0, 7) == "\\angle ") s = trimmed(s.substr(7));
  if (s.empty() || s.size() > 24) return false;
  if (s.size() > 2 && s.front() == '(' && s.back() == ')') {  // (x, y)
    const auto names = split(s.substr(1, s.size() - 2), ",");
    return names.size() > 1 && std::all_of(names.begin(), names.end(), [](const auto& n) { return is_name(n); });
  }
  if (is_letter(s[0]) && s.size() > 1 &&
      std::all_of(s.begin(), s.end(), [](char c) { return is_letter(c) || c == ' '; }))
    return true;  // a word, or the "AB" of a segment
  std::size_t i = s[0] == '\\' ? 1 : 0;
  const std::size_t start = i;
  while (i < s.size() && is_letter(s[i])) ++i;
  if (i == start || (start == 0 && i > 2)) return false;
  const std::string_view rest = trimmed(s.substr(i));
  return rest.empty() || rest[0] == '_' || rest[0] == '\'' ||
         (rest.size() <= 6 && rest.front() == '(' && rest.back() == ')' && !is_digit(rest[1]));
}

// Whether one is a multiple of the other at all points, and neither is a number: 2x = 4y says what x = 2y says.
bool proportional(const Value& a, const Value& b, bool positive) {
  if (a.too_long || b.too_long) return false;
  std::array<std::complex<double>, Value::points> ratio;
  double bound = 0, change = 0;
  for (int p = 0; p < Value::points; ++p) {
    const double x = std::abs(a.at[p]), y = std::abs(b.at[p]);
    if (!(x > 0 && y > 0)) return false;
    ratio[p] = a.at[p] / b.at[p];
    bound = std::max(bound, 4 * std::abs(ratio[p]) * (a.error[p] / x + b.error[p] / y + 1e-15));
    change = std::max(change, std::abs(a.at[p] - a.at[0]) / x);
  }
  const double size = std::abs(ratio[0]);
  if (!std::isfinite(size) || !(bound < 1e-9 * size) || change < 1e-6) return false;
  for (const auto& r : ratio)
    if (!(std::abs(r - ratio[0]) <= bound)) return false;
  return !positive || (ratio[0].real() > 0 && std::abs(ratio[0].imag()) <= bound);
}

bool relations_equal(const Relation& a, const Relation& b, Work work) {
  if (a.signs != b.signs) return false;
  if (same_in_order(a.operands, b.operands, work)) return true;
  if (!a.single() || a.is("\\in")) return false;
  const bool turns = a.is("=") || a.is("\\ne");
  if (turns && parts_equal(a.left(), b.right(), work) && parts_equal(a.right(), b.left(), work)) return true;
  const auto al = evaluate(a.left()), ar = evaluate(a.right()), bl = evaluate(b.left()), br = evaluate(b.right());
  if (!al || !ar || !bl || !br) return false;
  const Value da = minus(*al, *ar), db = minus(*bl, *br);
  return same(da, db) || (turns && same(da, negative(db))) || proportional(da, db, !turns);
}

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

// Rows of \begin{pmatrix} ... \end{pmatrix}, whatever the kind of bracket.
std::optional<std::vector<std::vector<std::string>>> matrix(std::string_view s) {
  while (s.size() > 2 && (s[0] == '[' || s[0] == '(') && (s.back() == ']' || s.back() == ')') &&
         trimmed(s.substr(1)).substr(0, 7) == "\\begin{")
    s = trimmed(s.substr(1, s.size() - 2));  // \left[\begin{array}...
  if (s.substr(0, 7) != "\\begin{") return std::nullopt;
  const auto open_end = s.find('}');
  const auto close = s.rfind("\\end{");
  if (open_end == s.npos || close == s.npos || close < open_end || s.back() != '}') return std::nullopt;
  const std::string_view name = s.substr(7, open_end - 7);
  if (name.find("matrix") == name.npos && name != "array") return std::nullopt;
  std::string_view body = trimmed(s.substr(open_end + 1, close - open_end - 1));
  if (name == "array" && !body.empty() && body[0] == '{') body = body.substr(std::min(body.find('}') + 1, body.size()));
  std::vector<std::vector<std::string>> rows;
  for (const auto& row : split(body, "\\\\"))
    if (!row.empty()) rows.push_back(split(row, "&"));
  return rows;
}

bool matrices_equal(const std::vector<std::vector<std::string>>& a, const std::vector<std::vector<std::string>>& b,
                    Work work) {
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

// What a list of inequalities says: x < 1 or x > 3 is a union.
std::string as_intervals(const std::string& s) {
  std::string out;
  for (const auto& part : split(s, ",")) {
    const auto r = relation(part);
    const std::string one = r ? interval(*r) : std::string();
    if (one.empty()) return {};
    out += (out.empty() ? "" : " \\cup ") + one;
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

bool parts_equal(const std::string& gold, const std::string& answer, Work work) {
  if (texts_equal(gold, answer)) return true;
  if (--*work.comparisons < 0) return false;
  if (gold.size() > max_answer || answer.size() > max_answer || work.nesting >= max_nesting) return false;
  if (expressions_equal(gold, answer)) return true;
  // x = 1, y = 2: the commas bind looser than the equals signs.
  if (has_top_level_comma(gold) && has_top_level_comma(answer)) {
    const auto a = listed(gold), b = listed(answer);
    if (a.size() > 1 && a.size() == b.size() && same_in_any_order(a, b, work.deeper())) return true;
  }
  return structures_equal(gold, answer, work.deeper());
}

// "204_5" without its base, 3:4 as a fraction: what a reader takes for the same where the other side leaves it out.
std::string without_base(const std::string& s) {
  const auto mark = s.find('_');
  if (mark == s.npos || mark == 0 || !std::all_of(s.begin(), s.begin() + static_cast<std::ptrdiff_t>(mark), is_digit))
    return {};
  std::string base = s.substr(mark + 1);
  std::erase_if(base, [](char c) { return c == '{' || c == '}' || c == ' '; });
  const bool number = !base.empty() && base.size() <= 2 && std::all_of(base.begin(), base.end(), is_digit);
  return number ? s.substr(0, mark) : std::string();
}
std::string ratio_as_fraction(std::string s) {
  const auto colon = s.find(':');
  if (colon == s.npos || s.find(':', colon + 1) != s.npos) return {};
  return "(" + s.substr(0, colon) + ")/(" + s.substr(colon + 1) + ")";
}
bool said_shorter(const std::string& full, const std::string& other) {
  const std::string digits = without_base(full);
  if (!digits.empty() && digits == other) return true;
  const std::string fraction = other.find(':') == other.npos ? ratio_as_fraction(full) : std::string();
  return !fraction.empty() && expressions_equal(fraction, other);
}

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
  if (bare_a == a && bare_b == b) return false;
  return !bare_a.empty() && !bare_b.empty() && grading::cleaned_equal(bare_a, bare_b);
}

}  // namespace grpo::kit
