// print.hpp: values as text: str(), repr() and json.dumps() of Python.
#ifndef GRPO_TEXT_TEMPLATE_PRINT_HPP
#define GRPO_TEXT_TEMPLATE_PRINT_HPP

#include "value.hpp"

namespace grpo::text::jinja {

/// str(value)
std::string to_text(const Value& value, Budget& budget);
/// repr(value), appended
void append_repr(std::string& out, const Value& value, Budget& budget);
std::string repr(const Value& value, Budget& budget);
std::string repr_text(std::string_view text);
/// repr of a float: the shortest digits that give the number back.
std::string repr_real(double value);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  bool lines = false;  // indent was given
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
std::string to_json(const Value& value, const JsonStyle& style, Budget& budget);

}  // namespace grpo::text::jinja

#endif
