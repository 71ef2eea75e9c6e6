// value.hpp: what an expression is worth.
//
// Main idea. An exact rational where there is one, and beside it complex numbers at three fixed points of the
// variables, each with a bound of its rounding error. Two expressions that agree at all points within their errors are
// equal but for a chance in practice nil; so x(x+1) equals x^2+x without any algebra, and work stays linear.
#ifndef GRPO_KIT_GRADING_VALUE_HPP
#define GRPO_KIT_GRADING_VALUE_HPP

#include <array>
#include <complex>
#include <optional>
#include <string_view>

#include "number.hpp"

namespace grpo::kit::grading {

struct Value {
  static constexpr int points = 3;

  std::optional<Rational> exact;
  bool too_long = false;  // some part passed the lid on digits: the value is not known well enough to compare
  std::array<std::complex<double>, points> at{};
  std::array<double, points> error{};  // absolute bounds
};

Value from_rational(const Rational& r);
Value from_integer(long n);
Value constant(std::complex<double> c);
// A name's value at each point: the same in every expression, between 0.5 and 1.5, with no pattern to it. negative:
// below 0 at the last point.
Value variable(std::string_view name, bool negative = false);

Value plus(const Value& a, const Value& b);
Value minus(const Value& a, const Value& b);
Value negative(Value a);
Value times(const Value& a, const Value& b);
Value hundredth(const Value& a);
Value absolute(const Value& x);
// Nothing where x is too near to an integer to tell, or has an imaginary part.
std::optional<Value> rounded_down(const Value& x);
std::optional<Value> rounded_up(const Value& x);
Value root(const Value& x, int degree);

// Nothing where there is no value, or none that this knows: 1/0, 0^0, (1/2)!, an unknown function.
std::optional<Value> over(const Value& a, const Value& b);
std::optional<Value> raised(const Value& base, const Value& exponent);
std::optional<Value> function(std::string_view name, const Value& x);  // sin ... exp
std::optional<Value> factorial(const Value& x);
std::optional<Value> binomial(const Value& n, const Value& k);

bool same(const Value& a, const Value& b);

}  // namespace grpo::kit::grading

#endif
