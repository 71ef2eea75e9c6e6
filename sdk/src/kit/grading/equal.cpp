// Comparing two answers: whole, then as relations, lists, tuples, intervals, sets, matrices, part by part.
#include <algorithm>
#include <cmath>
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

bool parts_equal(const std::string& gold, const std::string& answer, int nesting);

// Spaces out, braces around one character out, letters of a text without digits and commands in lower case.
std::string compact(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  bool words = true;
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] == ' ') continue;
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

// "(C)" and "C" choose the same.
std::string_view choice(std::string_view s) {
  if (s.size() == 3 && s[0] == '(' && s[2] == ')' && is_letter(s[1])) return s.substr(1, 1);
  if (s.size() == 2 && s[1] == ')' && is_letter(s[0])) return s.substr(0, 1);
  return s;
}

bool texts_equal(std::string_view gold, std::string_view answer) {
  const std::string a = compact(gold), b = compact(answer);
  return !a.empty() && choice(a) == choice(b);
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

bool same_in_order(const std::vector<std::string>& a, const std::vector<std::string>& b, int nesting) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!parts_equal(a[i], b[i], nesting)) return false;
  return true;
}

bool same_in_any_order(const std::vector<std::string>& a, const std::vector<std::string>& b, int nesting) {
  if (a.size() != b.size() || a.size() > max_parts) return false;
  std::vector<bool> used(b.size());
  for (const auto& part : a) {
    std::size_t j = 0;
    while (j < b.size() && (used[j] || !parts_equal(part, b[j], nesting))) ++j;
    if (j == b.size()) return false;
    used[j] = true;
  }
  return true;
}

// ---- numbers and expressions ----

struct Quantity {
  Value value;
  bool percent;
  std::optional<std::size_t> places;
};

std::optional<Quantity> quantity(std::string_view s) {
  s = trimmed(s);
  const bool percent = !s.empty() && s.back() == '%';
  if (percent) s = trimmed(s.substr(0, s.size() - 1));
  auto v = evaluate(s);
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
  const auto a = quantity(gold);
  if (!a) return false;
  const auto b = quantity(answer);
  return b && quantities_equal(*a, *b);
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

// ---- relations ----

struct Relation {
  std::string left, sign, right;
};

std::optional<Relation> relation(std::string_view s) {
  static constexpr std::string_view signs[] = {"\\le ", "\\ge ", "\\ne ", "\\in ", "<=", ">=", "!=", "=", "<", ">"};
  std::optional<Relation> found;
  at_top_level(s, [&](std::size_t i) -> std::size_t {
    for (std::string_view sign : signs) {
      if (s.substr(i, sign.size()) != sign) continue;
      // A chain, x = 2y = 4: what counts is the first left side and the last right side.
      if (!found) found = Relation{std::string(trimmed(s.substr(0, i))), std::string(trimmed(sign)), {}};
      found->right = trimmed(s.substr(i + sign.size()));
      return sign.size();
    }
    return 0;
  });
  if (!found) return found;
  if (found->sign == "<=") found->sign = "\\le";
  if (found->sign == ">=") found->sign = "\\ge";
  if (found->sign == "!=") found->sign = "\\ne";
  // Turned so that it points left: x > 2 is 2 < x.
  if (found->sign == ">" || found->sign == "\\ge") {
    std::swap(found->left, found->right);
    found->sign = found->sign == ">" ? "<" : "\\le";
  }
  return found;
}

// A name that an answer is given for: x, f(x), \theta, a_1, "Area".
bool is_name(std::string_view s) {
  s = trimmed(s);
  if (s.empty() || s.size() > 24) return false;
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

bool relations_equal(const Relation& a, const Relation& b, int nesting) {
  if (a.sign != b.sign) return false;
  if (parts_equal(a.left, b.left, nesting) && parts_equal(a.right, b.right, nesting)) return true;
  if ((a.sign == "=" || a.sign == "\\ne") && parts_equal(a.left, b.right, nesting) &&
      parts_equal(a.right, b.left, nesting))
    return true;
  if (a.sign == "\\in") return false;
  const auto al = evaluate(a.left), ar = evaluate(a.right), bl = evaluate(b.left), br = evaluate(b.right);
  if (!al || !ar || !bl || !br) return false;
  const Value da = minus(*al, *ar), db = minus(*bl, *br);
  return same(da, db) || (a.sign == "=" && same(da, negative(db)));
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

bool brackets_equal(const Bracketed& a, const Bracketed& b, int nesting) {
  const auto left = split(a.inside, ","), right = split(b.inside, ",");
  const bool sets = a.open == "\\{" && b.open == "\\{";
  if (sets) return same_in_any_order(left, right, nesting);
  if (a.open != b.open || a.close != b.close) return false;
  return left.size() > 1 && same_in_order(left, right, nesting);
}

// Rows of \begin{pmatrix} ... \end{pmatrix}, whatever the kind of bracket.
std::optional<std::vector<std::vector<std::string>>> matrix(std::string_view s) {
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
                    int nesting) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!same_in_order(a[i], b[i], nesting)) return false;
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

bool structures_equal(const std::string& gold, const std::string& answer, int nesting) {
  const auto ga = relation(gold), gb = relation(answer);
  if (ga && gb) return relations_equal(*ga, *gb, nesting);
  const bool one_value = ga ? ga->sign == "=" || ga->sign == "\\in" : gb && (gb->sign == "=" || gb->sign == "\\in");
  if (one_value) {  // "x = 5" answers "5"
    if (ga && is_name(ga->left)) return parts_equal(ga->right, answer, nesting);
    if (gb && is_name(gb->left)) return parts_equal(gold, gb->right, nesting);
    return false;
  }
  const auto unions_a = split(gold, "\\cup"), unions_b = split(answer, "\\cup");
  if (unions_a.size() > 1 || unions_b.size() > 1) return same_in_any_order(unions_a, unions_b, nesting);
  const auto ma = matrix(gold), mb = matrix(answer);
  if (ma && mb) return matrices_equal(*ma, *mb, nesting);
  const auto ba = bracketed(gold), bb = bracketed(answer);
  if (ba && bb) return brackets_equal(*ba, *bb, nesting);
  // A set and a bare list name the same values.
  const auto items = [](const std::string& s, const std::optional<Bracketed>& b) {
    return listed(b && b->open == "\\{" ? std::string(b->inside) : s);
  };
  const auto la = items(gold, ba), lb = items(answer, bb);
  if (la.size() <= 1 && lb.size() <= 1 && !ba && !bb) return false;
  return same_in_any_order(la, lb, nesting);
}

bool has_top_level_comma(const std::string& s) {
  bool found = false;
  at_top_level(s, [&](std::size_t i) -> std::size_t {
    found |= s[i] == ',';
    return 0;
  });
  return found;
}

bool parts_equal(const std::string& gold, const std::string& answer, int nesting) {
  if (texts_equal(gold, answer)) return true;
  if (gold.size() > max_answer || answer.size() > max_answer || nesting >= max_nesting) return false;
  if (expressions_equal(gold, answer)) return true;
  // x = 1, y = 2: the commas bind looser than the equals signs.
  if (has_top_level_comma(gold) && has_top_level_comma(answer)) {
    const auto a = listed(gold), b = listed(answer);
    if (a.size() > 1 && a.size() == b.size() && same_in_any_order(a, b, nesting + 1)) return true;
  }
  return structures_equal(gold, answer, nesting + 1);
}

bool cleaned_equal(const std::string& gold, const std::string& answer) {
  const std::string plain = plain_decimal(gold);
  if (!plain.empty() && plain == plain_decimal(answer)) return true;
  return parts_equal(gold, answer, 0);
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
