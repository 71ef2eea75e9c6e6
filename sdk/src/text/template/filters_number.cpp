// filters_number.cpp: int, float, round, abs.
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "filters.hpp"
#include "interpreter.hpp"
#include "operations.hpp"
#include "unicode.hpp"

namespace grpo::text::jinja {
namespace {

using Values = std::vector<Value>;

// "1_000" to "1000"; nothing where an underscore stands alone.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const bool between = i > 0 && i + 1 < text.size() && std::isalnum(static_cast<unsigned char>(text[i - 1])) &&
                         std::isalnum(static_cast<unsigned char>(text[i + 1]));
    if (!between) return std::nullopt;
  }
  return out;
}

// int(text, base); nothing where Python raises ValueError.
std::optional<std::int64_t> parse_integer(std::string_view text, int base) {
  text = strip(text, true, true);
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text.size() > 2 && text[0] == '0') {
    const char letter = static_cast<char>(text[1] | 0x20);
    const int prefix = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    if (prefix != 0 && (base == prefix || base == 0)) {
      base = prefix;
      text.remove_prefix(text[2] == '_' ? 3 : 2);
    }
  }
  if (base == 0) base = 10;
  const auto digits = without_underscores(text);
  if (!digits || digits->empty() || (*digits)[0] == '-') return std::nullopt;
  std::int64_t value = 0;
  const auto result = std::from_chars(digits->data(), digits->data() + digits->size(), value, base);
  if (result.ptr != digits->data() + digits->size() || result.ec == std::errc::invalid_argument) return std::nullopt;
  if (result.ec != std::errc{}) throw Failure("the integer " + std::string(text) + " does not fit 64 bits");
  return negative ? -value : value;
}

std::optional<double> parse_real(std::string_view text) {
  const auto digits = without_underscores(strip(text, true, true));
  if (!digits || digits->empty() || digits->find_first_of("xX(") != std::string::npos) return std::nullopt;
  if (std::isspace(static_cast<unsigned char>((*digits)[0]))) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(digits->c_str(), &end);
  if (end != digits->c_str() + digits->size()) return std::nullopt;
  return value;
}

std::int64_t truncated(double value) {
  if (!(std::abs(value) < 9.2e18)) throw Failure("the number does not fit an integer of 64 bits");
  return static_cast<std::int64_t>(value);
}

Value int_filter(Interpreter&, const Value& input, Values& given) {
  const Value otherwise = given[0].is_missing() ? Value(0) : given[0];
  const std::int64_t base = given[1].is_missing() ? 10 : to_integer(given[1], "the base of int");
  if (base < 0 || base == 1 || base > 36) return otherwise;
  if (input.is_undefined()) fail_undefined(input);
  if (input.is_integral()) return input.integer();
  if (input.is(Kind::real)) {
    if (std::isnan(input.real())) return otherwise;
    return truncated(input.real());
  }
  if (!input.is_string()) return otherwise;
  if (const auto value = parse_integer(input.text(), static_cast<int>(base))) return *value;
  const auto real = parse_real(input.text());
  if (!real || std::isnan(*real) || std::isinf(*real)) return otherwise;
  return truncated(*real);
}

Value float_filter(Interpreter&, const Value& input, Values& given) {
  if (input.is_undefined()) fail_undefined(input);
  if (input.is_number()) return input.real();
  if (input.is_string()) {
    if (const auto value = parse_real(input.text())) return *value;
  }
  return given[0].is_missing() ? Value(0.0) : given[0];
}

Value abs_filter(Interpreter&, const Value& input, Values&) {
  if (input.is_undefined()) fail_undefined(input);
  if (input.is_integral()) return input.integer() < 0 ? negate(input) : Value(input.integer());
  if (input.is(Kind::real)) return std::abs(input.real());
  throw Failure("bad operand type for abs(): '" + std::string(input.type_name()) + "'");
}

// Half to even, on the exact value of the double, as Python does.
double rounded(double value, int precision) {
  if (!std::isfinite(value)) return value;
  if (precision >= 0) {
    char buffer[512];
    const int size = std::snprintf(buffer, sizeof buffer, "%.*f", std::min(precision, 100), value);
    return size > 0 && size < static_cast<int>(sizeof buffer) ? std::strtod(buffer, nullptr) : value;
  }
  const double unit = std::pow(10.0, -precision);
  return std::nearbyint(value / unit) * unit;
}

Value round_filter(Interpreter&, const Value& input, Values& given) {
  const std::int64_t precision = given[0].is_missing() ? 0 : to_integer(given[0], "the precision of round");
  const std::string method = given[1].is_missing() ? "common" : given[1].is_string() ? given[1].text() : "";
  if (method != "common" && method != "ceil" && method != "floor")
    throw Failure("method must be common, ceil or floor");
  if (input.is_undefined()) fail_undefined(input);
  if (!input.is_number()) throw Failure("round needs a number, not '" + std::string(input.type_name()) + "'");
  if (std::abs(precision) > 300) throw Failure("the precision of round is out of range");
  if (method == "common") {
    if (input.is(Kind::real)) return rounded(input.real(), static_cast<int>(precision));
    if (precision >= 0) return input.integer();
    return truncated(rounded(static_cast<double>(input.integer()), static_cast<int>(precision)));
  }
  const double unit = std::pow(10.0, static_cast<double>(precision));
  const double scaled = input.real() * unit;
  if (!std::isfinite(scaled)) throw Failure("cannot convert float infinity to integer");
  return ((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) + 0.0) / unit;  // no -0: it is an integer
}

}  // namespace

void add_number_filters(FilterTable& table) {
  table["int"] = {{"default", "base"}, 0, int_filter, nullptr};
  table["float"] = {{"default"}, 0, float_filter, nullptr};
  table["abs"] = {{}, 0, abs_filter, nullptr};
  table["round"] = {{"precision", "method"}, 0, round_filter, nullptr};
}

}  // namespace grpo::text::jinja
