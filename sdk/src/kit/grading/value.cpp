#include "value.hpp"

#include <algorithm>
#include <cmath>

namespace grpo::kit::grading {
namespace {

using Complex = std::complex<double>;
constexpr double epsilon = 0x1p-50;  // some roundings of a double

// f at all points; slope bounds |f'| there, so errors follow.
template <class F, class Slope>
Value apply(const Value& x, F f, Slope slope) {
  Value v;
  v.too_long = x.too_long;
  for (int p = 0; p < Value::points; ++p) {
    v.at[p] = f(x.at[p]);
    v.error[p] = x.error[p] * slope(x.at[p]) + epsilon * (std::abs(v.at[p]) + std::abs(x.at[p]) * slope(x.at[p]));
  }
  return v;
}

Value combine(const Value& a, const Value& b, std::optional<Rational> (*exact)(const Rational&, const Rational&)) {
  Value v;
  v.too_long = a.too_long || b.too_long;
  if (a.exact && b.exact && !v.too_long) {
    v.exact = exact(*a.exact, *b.exact);
    if (!v.exact) v.too_long = true;
  }
  return v;
}

}  // namespace

Value from_rational(const Rational& r) {
  Value v;
  v.exact = r;
  const auto d = static_cast<double>(r.value());
  v.at.fill(d);
  v.error.fill(epsilon * std::abs(d));
  return v;
}
Value from_integer(long n) {
  return from_rational({n < 0, Natural(static_cast<std::uint64_t>(std::labs(n))), Natural(1)});
}
Value constant(Complex c) {
  Value v;
  v.at.fill(c);
  v.error.fill(epsilon * std::abs(c));
  return v;
}

Value variable(std::string_view name, bool negative) {
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  Value v;
  for (int p = 0; p < Value::points; ++p) {
    std::uint64_t z = hash + 0x9e3779b97f4a7c15u * static_cast<std::uint64_t>(p + 1);  // splitmix64
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    v.at[p] = 0.5 + static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
  }
  if (negative) v.at.back() = -v.at.back();
  return v;
}

Value plus(const Value& a, const Value& b) {
  Value v = combine(a, b, add);
  for (int p = 0; p < Value::points; ++p) {
    v.at[p] = a.at[p] + b.at[p];
    v.error[p] = a.error[p] + b.error[p] + epsilon * (std::abs(a.at[p]) + std::abs(b.at[p]));
  }
  return v;
}

Value times(const Value& a, const Value& b) {
  Value v = combine(a, b, multiply);
  for (int p = 0; p < Value::points; ++p) {
    const double x = std::abs(a.at[p]), y = std::abs(b.at[p]);
    v.at[p] = a.at[p] * b.at[p];
    v.error[p] = a.error[p] * y + b.error[p] * x + epsilon * x * y;
  }
  return v;
}

std::optional<Value> over(const Value& a, const Value& b) {
  if (b.exact && b.exact->is_zero()) return std::nullopt;
  Value v = combine(a, b, divide);
  for (int p = 0; p < Value::points; ++p) {
    const double x = std::abs(a.at[p]), y = std::abs(b.at[p]);
    v.at[p] = a.at[p] / b.at[p];
    v.error[p] = (a.error[p] + b.error[p] * x / y + epsilon * x) / y;
  }
  return v;
}

Value root(const Value& x, int degree) {
  if (degree == 2 && x.exact) {
    if (const auto r = exact_root(*x.exact)) return from_rational(*r);
  }
  Value v;
  v.too_long = x.too_long;
  for (int p = 0; p < Value::points; ++p) {
    const bool odd_of_negative = degree % 2 == 1 && x.at[p].imag() == 0 && x.at[p].real() < 0;
    const double size = std::abs(x.at[p]);
    v.at[p] = degree == 2       ? std::sqrt(x.at[p])
              : odd_of_negative ? Complex(-std::pow(size, 1.0 / degree))
                                : std::pow(x.at[p], 1.0 / degree);
    const double out = std::abs(v.at[p]);
    v.error[p] = epsilon * out + (size > 0 ? out * x.error[p] / (size * degree) : std::sqrt(x.error[p]));
  }
  return v;
}

std::optional<Value> raised(const Value& base, const Value& exponent) {
  long n = 0;
  const bool whole = small_integer(exponent.exact, &n);
  Value v;
  v.too_long =
      base.too_long || exponent.too_long || (exponent.exact && !whole && exponent.exact->numerator.digits() > 15);
  if (base.exact && whole && !v.too_long) {
    if (base.exact->is_zero() && n <= 0) return std::nullopt;
    v.exact = power(*base.exact, n);
    if (!v.exact) v.too_long = true;
  } else if (base.exact && exponent.exact && !v.too_long) {  // 4^{1/2}
    const Rational twice{exponent.exact->negative, exponent.exact->numerator + exponent.exact->numerator,
                         exponent.exact->denominator};
    if (long halves = 0; small_integer(twice, &halves) && halves == 1) return root(base, 2);
  }
  for (int p = 0; p < Value::points; ++p) {
    const Complex x = base.at[p], y = exponent.at[p];
    v.at[p] = whole && std::labs(n) < 1000 ? std::pow(x, static_cast<int>(n)) : std::pow(x, y);
    const double out = std::abs(v.at[p]), size = std::abs(x);
    v.error[p] = out * (epsilon * (1 + std::abs(y)) + (size > 0 ? std::abs(y) * base.error[p] / size : 0) +
                        (size > 0 ? std::abs(std::log(x)) * exponent.error[p] : 0));
  }
  return v;
}

std::optional<Value> function(std::string_view name, const Value& x) {
  const auto one = [](Complex) { return 1.0; };
  if (name == "sin")
    return apply(
        x, [](Complex z) { return std::sin(z); }, one);
  if (name == "cos")
    return apply(
        x, [](Complex z) { return std::cos(z); }, one);
  const auto tangent_slope = [](Complex z) { return 1 + std::norm(std::tan(z)); };
  if (name == "tan")
    return apply(
        x, [](Complex z) { return std::tan(z); }, tangent_slope);
  if (name == "cot") return over(from_integer(1), *function("tan", x));
  if (name == "sec") return over(from_integer(1), *function("cos", x));
  if (name == "csc") return over(from_integer(1), *function("sin", x));
  if (name == "exp")
    return apply(
        x, [](Complex z) { return std::exp(z); }, [](Complex z) { return std::abs(std::exp(z)); });
  if (name == "ln" || name == "log")
    return apply(
        x, [](Complex z) { return std::log(z); }, [](Complex z) { return 1 / std::abs(z); });
  const auto arc_slope = [](Complex z) { return 1 / std::sqrt(std::abs(1.0 - z * z)); };
  if (name == "arcsin")
    return apply(
        x, [](Complex z) { return std::asin(z); }, arc_slope);
  if (name == "arccos")
    return apply(
        x, [](Complex z) { return std::acos(z); }, arc_slope);
  if (name == "arctan")
    return apply(
        x, [](Complex z) { return std::atan(z); }, one);
  return std::nullopt;
}

Value absolute(const Value& x) {
  Value v = apply(
      x, [](Complex z) { return Complex(std::abs(z)); }, [](Complex) { return 1.0; });
  if (x.exact) {
    v.exact = x.exact;
    v.exact->negative = false;
  }
  return v;
}

std::optional<Value> rounded_down(const Value& x) {
  if (x.exact && x.too_long) return std::nullopt;
  if (x.exact) {
    long n = 0;
    const long double value = x.exact->value();
    if (small_integer(x.exact, &n)) return from_integer(n);
    // Off an integer by at least one over the denominator: enough for a long double below these sizes.
    if (!(std::abs(value) < 1e9L) || x.exact->denominator.digits() > 8) return std::nullopt;
    return from_integer(static_cast<long>(std::floor(value)));
  }
  Value v;
  v.too_long = x.too_long;
  for (int p = 0; p < Value::points; ++p) {
    const double real = x.at[p].real(), down = std::floor(real), margin = 8 * x.error[p] + 1e-12;
    if (!std::isfinite(real) || std::abs(x.at[p].imag()) > margin || std::abs(real) > 1e12) return std::nullopt;
    if (real - down < margin || down + 1 - real < margin) return std::nullopt;
    v.at[p] = down;
  }
  return v;
}

std::optional<Value> rounded_up(const Value& x) {
  const auto down = rounded_down(negative(x));
  return down ? std::optional(negative(*down)) : down;
}

std::optional<Value> factorial(const Value& x) {
  long n = 0;
  if (!small_integer(x.exact, &n) || n < 0) return std::nullopt;
  Value v = from_integer(1);
  for (long i = 2; i <= n && !v.too_long; ++i) v = times(v, from_integer(i));
  return v;
}

std::optional<Value> binomial(const Value& n, const Value& k) {
  long top = 0, bottom = 0;
  if (!small_integer(n.exact, &top) || !small_integer(k.exact, &bottom) || bottom < 0 || bottom > top)
    return std::nullopt;
  Value v = from_integer(1);
  for (long i = 1; i <= bottom && !v.too_long; ++i)
    v = *over(times(v, from_integer(top - bottom + i)), from_integer(i));
  return v;
}

Value negative(Value a) {
  if (a.exact) a.exact = negated(*a.exact);
  for (auto& x : a.at) x = -x;
  return a;
}
Value minus(const Value& a, const Value& b) { return plus(a, negative(b)); }
Value hundredth(const Value& a) { return *over(a, from_integer(100)); }

bool same(const Value& a, const Value& b) {
  if (a.too_long || b.too_long) return false;
  if (a.exact && b.exact) return equal(*a.exact, *b.exact);
  for (int p = 0; p < Value::points; ++p) {
    const double gap = std::abs(a.at[p] - b.at[p]), bound = 4 * (a.error[p] + b.error[p]);
    if (!std::isfinite(gap) || !std::isfinite(bound) || gap > bound) return false;
    // A bound as large as the numbers proves nothing.
    if (bound > 1e-6 * std::max({std::abs(a.at[p]), std::abs(b.at[p]), 1e-6})) return false;
  }
  return true;
}

}  // namespace grpo::kit::grading
