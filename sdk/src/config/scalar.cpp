#include "scalar.hpp"

#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "print.hpp"

namespace grpo::config {
namespace {

using json = nlohmann::ordered_json;

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// [0-9]* with an optional fraction and exponent, at least one digit before the exponent.
bool is_decimal(std::string_view text) {
  const auto exponent = text.find_first_of("eE");
  std::string_view mantissa = text.substr(0, exponent);
  if (exponent != std::string_view::npos) {
    std::string_view digits = text.substr(exponent + 1);
    if (!digits.empty() && (digits[0] == '+' || digits[0] == '-')) digits.remove_prefix(1);
    if (!all_digits(digits)) return false;
  }
  const auto point = mantissa.find('.');
  const std::string_view whole = mantissa.substr(0, point);
  const std::string_view fraction = point == std::string_view::npos ? "" : mantissa.substr(point + 1);
  return (all_digits(whole) && (fraction.empty() || all_digits(fraction))) || (whole.empty() && all_digits(fraction));
}

constexpr int deepest = 64;
constexpr int most_values = 100'000;  // aliases of aliases (`[*a, *a]`) grow without bound from a few lines

// `left`: how many values may still come.
json convert(const YAML::Node& node, const std::string& path, const std::function<void(const std::string&, int)>& visit,
             int depth, int& left) {
  const int line = node.Mark().line + 1;
  const auto fail = [&](const std::string& what) -> json {
    throw std::runtime_error("line " + std::to_string(line) + ": " + what);
  };
  if (depth > deepest) return fail("nested deeper than " + std::to_string(deepest) + " levels");
  if (--left < 0)
    return fail("more than " + std::to_string(most_values) + " values, aliases (`*name`) counted as often as used");
  if (visit) visit(path, line);
  const std::string prefix = path.empty() ? "" : path + ".";
  if (node.IsMap()) {
    json out = json::object();
    for (const auto& pair : node) {
      if (!pair.first.IsScalar()) return fail("a key must be a text");
      const std::string& name = pair.first.Scalar();
      if (out.contains(name)) return fail("`" + name + "` is given twice");
      out[name] = convert(pair.second, prefix + name, visit, depth + 1, left);
    }
    return out;
  }
  if (node.IsSequence()) {
    json out = json::array();
    for (const auto& element : node)
      out.push_back(convert(element, prefix + std::to_string(out.size()), visit, depth + 1, left));
    return out;
  }
  if (!node.IsScalar()) return nullptr;
  const bool quoted = node.Tag() == "!" || node.Tag() == "tag:yaml.org,2002:str";
  json value = quoted ? json(node.Scalar()) : plain_scalar(node.Scalar());
  if (value.is_number_float() && std::isinf(value.get<double>())) return fail("infinity cannot be handed to a plugin");
  return value;
}

}  // namespace

json plain_scalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const bool negative = text[0] == '-';
  const std::string_view body = std::string_view(text).substr(negative || text[0] == '+' ? 1 : 0);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (body == ".inf" || body == ".Inf" || body == ".INF") return negative ? -infinity : infinity;
  const bool hexadecimal = text.starts_with("0x");
  if (hexadecimal || all_digits(body)) {
    const std::string_view digits = hexadecimal ? body.substr(2) : text[0] == '+' ? body : std::string_view(text);
    std::int64_t value = 0;
    const auto end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, value, hexadecimal ? 16 : 10);
    if (stop == end && error == std::errc()) return value;
  }
  if (is_decimal(body)) {
    const char *begin = text.data() + (text[0] == '+' ? 1 : 0), *end = text.data() + text.size();
    double value = 0;
    const auto [stop, error] = std::from_chars(begin, end, value);
    if (stop == end && error == std::errc()) return value;
  }
  return text;
}

json to_json(const YAML::Node& node, const std::function<void(const std::string&, int)>& visit) {
  int left = most_values;
  return convert(node, "", visit, 0, left);
}

std::string found(const YAML::Node& node) {
  if (node.IsMap()) return "a mapping";
  if (node.IsSequence()) return "a list";
  if (!node.IsScalar()) return "nothing";
  const json value = node.Tag() == "!" ? json(node.Scalar()) : plain_scalar(node.Scalar());
  std::string text = node.Scalar();
  if (text.size() > 60) text = text.substr(0, 60) + "...";
  if (value.is_null()) return "nothing";
  if (value.is_boolean()) return "`" + text + "` (true or false)";
  if (value.is_number_integer()) return "`" + text + "` (an integer)";
  if (value.is_number()) return "`" + text + "` (a number)";
  return "the text `" + text + "`";
}

}  // namespace grpo::config
