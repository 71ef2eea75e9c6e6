// Two answers as numbers and expressions.
#include <algorithm>
#include <cmath>

#include "compare.hpp"
#include "expression.hpp"
#include "text.hpp"

namespace grpo::kit::grading {
namespace {

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

}  // namespace

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

bool said_shorter(const std::string& full, const std::string& other) {
  const std::string digits = without_base(full);
  if (!digits.empty() && digits == other) return true;
  const bool is_fraction = other.find('/') != other.npos || other.find("\\frac") != other.npos;  // 6 is not 6:1
  const std::string fraction = is_fraction && other.find(':') == other.npos ? ratio_as_fraction(full) : std::string();
  return !fraction.empty() && expressions_equal(fraction, other);
}

}  // namespace grpo::kit::grading
