// arithmetic.cpp: + - * / // % ** on values, HTML escapes.
#include <cmath>

#include "operations.hpp"
#include "print.hpp"

namespace grpo::text::jinja {
namespace {

[[noreturn]] void fail_operands(Operator op, const Value& left, const Value& right) {
  if (left.is_undefined()) fail_undefined(left);
  if (right.is_undefined()) fail_undefined(right);
  throw Failure("unsupported operand type(s) for " + std::string(symbol(op)) + ": '" + left.type_name() + "' and '" +
                right.type_name() + "'");
}

[[noreturn]] void fail_overflow() { throw Failure("the result is an integer of more than 64 bits"); }

std::int64_t integer_power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  while (exponent > 0) {
    if (exponent & 1) {
      if (__builtin_mul_overflow(result, base, &result)) fail_overflow();
    }
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) fail_overflow();
  }
  return result;
}

std::int64_t floor_divide(std::int64_t left, std::int64_t right) {
  if (right == 0) throw Failure("integer division or modulo by zero");
  if (right == -1) {
    if (left == INT64_MIN) fail_overflow();
    return -left;
  }
  const std::int64_t quotient = left / right;
  return quotient - ((left % right != 0 && (left < 0) != (right < 0)) ? 1 : 0);
}

double floor_modulo(double left, double right) {
  if (right == 0) throw Failure("float modulo by zero");
  double rest = std::fmod(left, right);
  if (rest != 0 && (rest < 0) != (right < 0)) rest += right;
  return rest == 0 ? std::copysign(0.0, right) : rest;
}

double floor_divide(double left, double right) {
  if (right == 0) throw Failure("float floor division by zero");
  double rest = std::fmod(left, right);
  double quotient = (left - rest) / right;
  if (rest != 0 && (rest < 0) != (right < 0)) quotient -= 1;
  if (quotient == 0) return std::copysign(0.0, left / right);
  const double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1 : floored;
}

double real_power(double base, double exponent) {
  if (base == 0 && exponent < 0) throw Failure("0.0 cannot be raised to a negative power");
  const double result = std::pow(base, exponent);
  if (std::isnan(result) && !std::isnan(base) && !std::isnan(exponent)) throw Failure("the result is a complex number");
  if (std::isinf(result) && !std::isinf(base) && !std::isinf(exponent)) throw Failure("the result is too large");
  return result;
}

Value on_integers(Operator op, std::int64_t left, std::int64_t right) {
  std::int64_t result = 0;
  switch (op) {
    case Operator::add:
      if (__builtin_add_overflow(left, right, &result)) fail_overflow();
      return result;
    case Operator::subtract:
      if (__builtin_sub_overflow(left, right, &result)) fail_overflow();
      return result;
    case Operator::multiply:
      if (__builtin_mul_overflow(left, right, &result)) fail_overflow();
      return result;
    case Operator::divide:
      if (right == 0) throw Failure("division by zero");
      return static_cast<double>(static_cast<long double>(left) / static_cast<long double>(right));
    case Operator::floor_divide:
      return floor_divide(left, right);
    case Operator::modulo:
      if (right == -1) return 0;
      if (right == 0) throw Failure("integer division or modulo by zero");
      result = left % right;
      return result != 0 && (result < 0) != (right < 0) ? result + right : result;
    case Operator::power:
      if (right < 0) return real_power(static_cast<double>(left), static_cast<double>(right));
      return integer_power(left, right);
  }
  return Value::none();
}

Value on_reals(Operator op, double left, double right) {
  switch (op) {
    case Operator::add:
      return left + right;
    case Operator::subtract:
      return left - right;
    case Operator::multiply:
      return left * right;
    case Operator::divide:
      if (right == 0) throw Failure("float division by zero");
      return left / right;
    case Operator::floor_divide:
      return floor_divide(left, right);
    case Operator::modulo:
      return floor_modulo(left, right);
    case Operator::power:
      return real_power(left, right);
  }
  return Value::none();
}

bool is_sequence(const Value& value) { return value.is_string() || value.is(Kind::list) || value.is(Kind::tuple); }

Value repeat(const Value& sequence, std::int64_t count, Budget& budget) {
  const std::size_t times = count > 0 ? static_cast<std::size_t>(count) : 0;
  const std::size_t unit = sequence.is_string() ? sequence.text().size() : sequence.items().size() * sizeof(Value);
  if (times > 0 && unit > budget.limits().bytes / times) budget.build(budget.limits().bytes + 1);
  budget.build(unit * times);
  if (sequence.is_string()) {
    std::string text;
    if (unit > 0) {
      text.reserve(unit * times);
      for (std::size_t i = 0; i < times; ++i) text += sequence.text();
    }
    return Value(std::move(text), sequence.is_markup());
  }
  std::vector<Value> items;
  if (unit > 0) {
    items.reserve(sequence.items().size() * times);
    for (std::size_t i = 0; i < times; ++i) {
      items.insert(items.end(), sequence.items().begin(), sequence.items().end());
    }
  }
  return sequence.is(Kind::list) ? Value::list(std::move(items), budget) : Value::tuple(std::move(items), budget);
}

Value add_sequences(const Value& left, const Value& right, Budget& budget) {
  if (left.is_string()) {
    const bool markup = left.is_markup() || right.is_markup();
    std::string text = markup && !left.is_markup() ? escape_html(left.text()) : left.text();
    text += markup && !right.is_markup() ? escape_html(right.text()) : right.text();
    budget.build(text.size());
    return Value(std::move(text), markup);
  }
  std::vector<Value> items = collect(left, budget);
  items.insert(items.end(), right.items().begin(), right.items().end());
  return left.is(Kind::list) ? Value::list(std::move(items), budget) : Value::tuple(std::move(items), budget);
}

}  // namespace

const char* symbol(Operator op) {
  static constexpr const char* symbols[] = {"+", "-", "*", "/", "//", "%", "**"};
  return symbols[static_cast<int>(op)];
}

Value binary(Operator op, const Value& left, const Value& right, Budget& budget) {
  if (left.is_integral() && right.is_integral()) return on_integers(op, left.integer(), right.integer());
  if (left.is_number() && right.is_number()) return on_reals(op, left.real(), right.real());
  if (op == Operator::add && is_sequence(left) && left.kind() == right.kind())
    return add_sequences(left, right, budget);
  if (op == Operator::multiply && is_sequence(left) && right.is_integral())
    return repeat(left, right.integer(), budget);
  if (op == Operator::multiply && is_sequence(right) && left.is_integral())
    return repeat(right, left.integer(), budget);
  if (op == Operator::modulo && left.is_string()) return format_percent(left, right, budget);
  fail_operands(op, left, right);
}

Value negate(const Value& value) {
  if (value.is_integral()) return on_integers(Operator::subtract, 0, value.integer());
  if (value.is(Kind::real)) return -value.real();
  if (value.is_undefined()) fail_undefined(value);
  throw Failure("bad operand type for unary -: '" + std::string(value.type_name()) + "'");
}

Value plus(const Value& value) {
  if (value.is_integral()) return value.integer();
  if (value.is(Kind::real)) return value;
  if (value.is_undefined()) fail_undefined(value);
  throw Failure("bad operand type for unary +: '" + std::string(value.type_name()) + "'");
}

std::int64_t to_integer(const Value& value, const char* what) {
  if (value.is_undefined()) fail_undefined(value);
  if (!value.is_integral()) {
    throw Failure(std::string(what) + " must be an integer, not '" + value.type_name() + "'");
  }
  return value.integer();
}

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Value escape(const Value& value, Budget& budget) {
  if (value.is_markup()) return value;
  std::string text = escape_html(to_text(value, budget));
  budget.build(text.size());
  return Value(std::move(text), true);
}

}  // namespace grpo::text::jinja
