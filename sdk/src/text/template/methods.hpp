// methods.hpp: the methods of Python's str, by name.
#ifndef GRPO_TEXT_TEMPLATE_METHODS_HPP
#define GRPO_TEXT_TEMPLATE_METHODS_HPP

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "value.hpp"

namespace grpo::text::jinja {

/// `self` is a string; parameters that were not given are missing().
using StringFunction = Value (*)(Interpreter& interpreter, const Value& self, std::vector<Value>& given);

struct StringMethod {
  std::vector<const char*> parameters;  // "/name" can only be given by position
  std::size_t required = 0;
  StringFunction function = nullptr;
};
using StringMethods = std::unordered_map<std::string_view, StringMethod>;

// The parts of the table, by file.
void add_search_methods(StringMethods& table);
void add_change_methods(StringMethods& table);

/// The text of an argument of `method`, which needs one. Throws Failure for anything else.
const std::string& text_argument(const Value& given, const char* method);

/// text.format(...)
Value format_braces(Interpreter& interpreter, const Value& text, const Arguments& arguments);

}  // namespace grpo::text::jinja

#endif
