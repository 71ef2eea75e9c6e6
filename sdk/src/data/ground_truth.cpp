#include <charconv>
#include <cmath>
#include <cstdlib>
#include <grpo/sdk/data/prompt.hpp>
#include <nlohmann/json.hpp>

namespace grpo::data {
namespace {

// As Python's repr: the shortest digits that read back to the same, in plain notation from 1e-4 up to below 1e16.
std::string python_repr(double value) {
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, std::abs(value), std::chars_format::scientific).ptr;
  const std::string scientific(buffer, end);  // "2.75e+01"
  const auto e = scientific.find('e');
  const int exponent = std::atoi(scientific.c_str() + e + 1);
  std::string out(std::signbit(value) ? 1 : 0, '-');
  if (exponent < -4 || exponent >= 16) return out.append(scientific);

  std::string digits = scientific.substr(0, e);
  std::erase(digits, '.');
  if (exponent < 0) return out.append("0.").append(static_cast<std::size_t>(-exponent - 1), '0').append(digits);
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return out.append(digits).append(whole - digits.size(), '0').append(".0");
  return out.append(digits, 0, whole).append(1, '.').append(digits, whole);
}

}  // namespace

std::string ground_truth_text(const nlohmann::ordered_json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return python_repr(value.get<double>());
  const bool alone = value.is_array() && value.size() == 1 && (value[0].is_string() || value[0].is_number());
  if (alone) return ground_truth_text(value[0]);
  return value.dump();
}

}  // namespace grpo::data
