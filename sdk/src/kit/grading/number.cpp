#include "number.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace grpo::kit::grading {
namespace {

constexpr std::uint32_t base = 1'000'000'000;

}  // namespace

Natural::Natural(std::uint64_t value) {
  for (; value; value /= base) limbs_.push_back(static_cast<std::uint32_t>(value % base));
}

std::optional<Natural> Natural::from_digits(std::string_view digits) {
  while (!digits.empty() && digits.front() == '0') digits.remove_prefix(1);
  if (digits.size() > max_digits) return std::nullopt;
  Natural n;
  while (!digits.empty()) {
    const std::size_t take = std::min<std::size_t>(9, digits.size());
    std::uint32_t limb = 0;
    for (char c : digits.substr(digits.size() - take)) limb = limb * 10 + static_cast<std::uint32_t>(c - '0');
    n.limbs_.push_back(limb);
    digits.remove_suffix(take);
  }
  return n;
}

std::optional<Natural> Natural::power_of_ten(std::size_t exponent) {
  if (exponent >= max_digits) return std::nullopt;
  std::string digits(exponent + 1, '0');
  digits[0] = '1';
  return from_digits(digits);
}

std::size_t Natural::digits() const {
  return limbs_.empty() ? 1 : (limbs_.size() - 1) * 9 + std::to_string(limbs_.back()).size();
}

long double Natural::value() const {
  long double v = 0;
  for (std::size_t i = limbs_.size(); i-- > 0;) v = v * base + limbs_[i];
  return v;
}

std::optional<std::uint64_t> Natural::small() const {
  if (limbs_.size() > 2) return std::nullopt;
  std::uint64_t v = 0;
  for (std::size_t i = limbs_.size(); i-- > 0;) v = v * base + limbs_[i];
  return v;
}

int compare(const Natural& a, const Natural& b) {
  if (a.limbs_.size() != b.limbs_.size()) return a.limbs_.size() < b.limbs_.size() ? -1 : 1;
  for (std::size_t i = a.limbs_.size(); i-- > 0;)
    if (a.limbs_[i] != b.limbs_[i]) return a.limbs_[i] < b.limbs_[i] ? -1 : 1;
  return 0;
}

Natural operator+(const Natural& a, const Natural& b) {
  Natural sum;
  std::uint32_t carry = 0;
  for (std::size_t i = 0; i < std::max(a.limbs_.size(), b.limbs_.size()) || carry; ++i) {
    const std::uint32_t s = carry + (i < a.limbs_.size() ? a.limbs_[i] : 0) + (i < b.limbs_.size() ? b.limbs_[i] : 0);
    sum.limbs_.push_back(s % base);
    carry = s / base;
  }
  return sum;
}

Natural difference(const Natural& larger, const Natural& smaller) {
  Natural d;
  std::int64_t borrow = 0;
  for (std::size_t i = 0; i < larger.limbs_.size(); ++i) {
    std::int64_t s = std::int64_t{larger.limbs_[i]} - borrow - (i < smaller.limbs_.size() ? smaller.limbs_[i] : 0);
    borrow = s < 0;
    d.limbs_.push_back(static_cast<std::uint32_t>(borrow ? s + base : s));
  }
  while (!d.limbs_.empty() && d.limbs_.back() == 0) d.limbs_.pop_back();
  return d;
}

std::optional<Natural> product(const Natural& a, const Natural& b) {
  if (a.is_zero() || b.is_zero()) return Natural();
  if (a.digits() + b.digits() > Natural::max_digits) return std::nullopt;
  Natural p;
  p.limbs_.assign(a.limbs_.size() + b.limbs_.size(), 0);
  for (std::size_t i = 0; i < a.limbs_.size(); ++i) {
    std::uint64_t carry = 0;
    for (std::size_t j = 0; j < b.limbs_.size() || carry; ++j) {
      const std::uint64_t other = j < b.limbs_.size() ? b.limbs_[j] : 0;
      const std::uint64_t s = p.limbs_[i + j] + a.limbs_[i] * other + carry;
      p.limbs_[i + j] = static_cast<std::uint32_t>(s % base);
      carry = s / base;
    }
  }
  while (!p.limbs_.empty() && p.limbs_.back() == 0) p.limbs_.pop_back();
  return p;
}

std::optional<Rational> decimal(std::string_view whole, std::string_view fraction, long exponent) {
  while (!fraction.empty() && fraction.back() == '0') fraction.remove_suffix(1);
  auto digits = Natural::from_digits(std::string(whole).append(fraction));
  if (!digits) return std::nullopt;
  constexpr auto lid = static_cast<long>(Natural::max_digits);
  if (exponent > lid || exponent < -lid) return std::nullopt;
  const long shift = exponent - static_cast<long>(fraction.size());
  const auto ten = Natural::power_of_ten(static_cast<std::size_t>(std::labs(shift)));
  if (!ten) return std::nullopt;
  if (shift < 0) return Rational{false, *digits, *ten};
  const auto scaled = product(*digits, *ten);
  if (!scaled) return std::nullopt;
  return Rational{false, *scaled, Natural(1)};
}

std::optional<Rational> add(const Rational& a, const Rational& b) {
  const auto left = product(a.numerator, b.denominator), right = product(b.numerator, a.denominator);
  const auto denominator = product(a.denominator, b.denominator);
  if (!left || !right || !denominator) return std::nullopt;
  if (a.negative == b.negative) return Rational{a.negative, *left + *right, *denominator};
  const bool left_wins = compare(*left, *right) >= 0;
  return Rational{left_wins ? a.negative : b.negative,
                  left_wins ? difference(*left, *right) : difference(*right, *left), *denominator};
}

std::optional<Rational> multiply(const Rational& a, const Rational& b) {
  const auto numerator = product(a.numerator, b.numerator), denominator = product(a.denominator, b.denominator);
  if (!numerator || !denominator) return std::nullopt;
  return Rational{a.negative != b.negative, *numerator, *denominator};
}

std::optional<Rational> divide(const Rational& a, const Rational& b) {
  return multiply(a, Rational{b.negative, b.denominator, b.numerator});
}

std::optional<Rational> power(const Rational& base_number, long exponent) {
  Rational result{false, Natural(1), Natural(1)};
  const Rational step =
      exponent < 0 ? Rational{base_number.negative, base_number.denominator, base_number.numerator} : base_number;
  const long count = std::labs(exponent);
  if (compare(step.numerator, Natural(1)) <= 0 && compare(step.denominator, Natural(1)) == 0) {  // 0, 1, -1
    return count == 0 ? result : Rational{step.negative && count % 2 == 1, step.numerator, Natural(1)};
  }
  Rational square = step;
  for (long left = count; left > 0;) {
    if (left % 2) {
      const auto next = multiply(result, square);
      if (!next) return std::nullopt;
      result = *next;
    }
    left /= 2;
    if (!left) break;
    const auto next = multiply(square, square);
    if (!next) return std::nullopt;
    square = *next;
  }
  return result;
}

Rational negated(Rational a) {
  a.negative = !a.negative;
  return a;
}

std::optional<Rational> exact_root(const Rational& a) {
  if (a.negative && !a.is_zero()) return std::nullopt;
  // sqrt(p / q) = sqrt(p q) / q, which needs no reduced fraction
  const auto both = product(a.numerator, a.denominator);
  const auto square = both ? both->small() : std::nullopt;
  if (!square) return std::nullopt;
  const auto root = static_cast<std::uint64_t>(std::llround(std::sqrt(static_cast<long double>(*square))));
  if (root * root != *square) return std::nullopt;
  return Rational{false, Natural(root), a.denominator};
}

bool small_integer(const std::optional<Rational>& a, long* value) {
  if (!a) return false;
  const auto n = a->numerator.small(), d = a->denominator.small();
  if (!n || !d || *d == 0 || *n % *d != 0 || *n / *d > 999'999'999'999'999) return false;
  *value = static_cast<long>(*n / *d) * (a->negative ? -1 : 1);
  return true;
}

bool equal(const Rational& a, const Rational& b) {
  const auto gap = add(a, negated(b));
  return gap && gap->is_zero();
}

bool equal_to_places(const Rational& a, const Rational& b, std::size_t places) {
  const auto gap = add(a, negated(b));
  const auto ten = Natural::power_of_ten(places);
  if (!gap || !ten) return false;
  const auto scaled = product(gap->numerator, *ten);
  return scaled && compare(*scaled + *scaled, gap->denominator) <= 0;
}

}  // namespace grpo::kit::grading
