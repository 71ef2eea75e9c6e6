// expression.hpp: the value of a cleaned LaTeX or plain expression.
//
// Main idea. One walk gives an exact rational where there is one, and else complex numbers at three fixed points of the
// variables, each with a bound of its rounding error. Two expressions that agree at all points within their errors are
// equal but for a chance in practice nil; so x(x+1) equals x^2+x without any algebra, and work stays linear.
#ifndef GRPO_KIT_GRADING_EXPRESSION_HPP
#define GRPO_KIT_GRADING_EXPRESSION_HPP

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

// Nothing: not an expression this understands, or longer or deeper than the limits.
std::optional<Value> evaluate(std::string_view cleaned);

bool same(const Value& a, const Value& b);
Value minus(const Value& a, const Value& b);
Value negative(Value a);
Value hundredth(const Value& a);

// How many places a plain decimal such as "-0.333333" shows; nothing when it is not one.
std::optional<std::size_t> decimal_places(std::string_view cleaned);

}  // namespace grpo::kit::grading

#endif
