// number.hpp: exact rational numbers with a lid on their length.
//
// Every operation answers nothing when its result would pass max_digits: then the grader compares texts.
#ifndef GRPO_KIT_GRADING_NUMBER_HPP
#define GRPO_KIT_GRADING_NUMBER_HPP

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace grpo::kit::grading {

// A natural number in base 10^9, lowest limb first, no leading zero limb: zero is empty.
class Natural {
 public:
  static constexpr std::size_t max_digits = 2000;

  Natural() = default;
  explicit Natural(std::uint64_t value);
  // Digits only. Nothing when longer than max_digits (leading zeros not counted).
  static std::optional<Natural> from_digits(std::string_view digits);
  static std::optional<Natural> power_of_ten(std::size_t exponent);

  bool is_zero() const { return limbs_.empty(); }
  std::size_t digits() const;
  long double value() const;  // rounded; infinity when too large
  // The number if it fits.
  std::optional<std::uint64_t> small() const;

  friend int compare(const Natural& a, const Natural& b);
  friend Natural operator+(const Natural& a, const Natural& b);
  friend Natural difference(const Natural& larger, const Natural& smaller);
  friend std::optional<Natural> product(const Natural& a, const Natural& b);

 private:
  std::vector<std::uint32_t> limbs_;
};

// numerator / denominator, not reduced.
struct Rational {
  bool negative = false;
  Natural numerator;
  Natural denominator{1};

  long double value() const { return (negative ? -1 : 1) * numerator.value() / denominator.value(); }
  bool is_zero() const { return numerator.is_zero(); }
};

// digits [. digits] [exponent]: the number written so.
std::optional<Rational> decimal(std::string_view whole, std::string_view fraction, long exponent);

std::optional<Rational> add(const Rational& a, const Rational& b);
std::optional<Rational> multiply(const Rational& a, const Rational& b);
std::optional<Rational> divide(const Rational& a, const Rational& b);  // b is not zero
std::optional<Rational> power(const Rational& base, long exponent);    // not 0 to a power below 1
Rational negated(Rational a);

// The square root when it is rational and the numbers are small.
std::optional<Rational> exact_root(const Rational& a);
// Whether it is an integer of at most 15 digits; then *value is set.
bool small_integer(const std::optional<Rational>& a, long* value);

bool equal(const Rational& a, const Rational& b);
// |a - b| <= 1/2 * 10^-places
bool equal_to_places(const Rational& a, const Rational& b, std::size_t places);

}  // namespace grpo::kit::grading

#endif
