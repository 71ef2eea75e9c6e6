// Two answers as equations and inequalities.
#include <algorithm>
#include <array>
#include <cmath>
#include <complex>

#include "compare.hpp"
#include "expression.hpp"
#include "text.hpp"

namespace grpo::kit::grading {
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

namespace {

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

}  // namespace

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

std::string without_points(const std::string& s) {
  std::string_view rest = trimmed(s);
  const auto take = [&](std::string_view mark) {
    const bool there = rest.substr(0, mark.size()) == mark;
    if (there) rest = trimmed(rest.substr(mark.size()));
    return there;
  };
  if (!take("\\mathbb{R}") && !take("\\mathbb R")) return {};
  if (!take("\\setminus") && !take("\\backslash") && !take("-")) return {};
  if (rest.size() < 5 || rest.substr(0, 2) != "\\{" || rest.substr(rest.size() - 2) != "\\}") return {};
  std::vector<std::pair<double, std::string>> points;
  for (auto& point : split(rest.substr(2, rest.size() - 4), ",")) {
    const auto v = evaluate(point);
    if (!v || v->too_long || v->at[0].imag() != 0 || v->at[0] != v->at[1] || v->at[0] != v->at[2]) return {};
    points.emplace_back(v->at[0].real(), std::move(point));
  }
  std::sort(points.begin(), points.end());
  std::string out, from = "-\\infty ";
  for (auto& [value, point] : points) {
    out += "(" + from + ", " + point + ") \\cup ";
    from = std::move(point);
  }
  return out + "(" + from + ", \\infty )";
}

}  // namespace grpo::kit::grading
