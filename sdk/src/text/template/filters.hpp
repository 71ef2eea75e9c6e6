// filters.hpp: value|filter and value is test, by name.
#ifndef GRPO_TEXT_TEMPLATE_FILTERS_HPP
#define GRPO_TEXT_TEMPLATE_FILTERS_HPP

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "value.hpp"

namespace grpo::text::jinja {

using FilterFunction = Value (*)(Interpreter& interpreter, const Value& input, std::vector<Value>& arguments);
using FreeFilterFunction = Value (*)(Interpreter& interpreter, const Value& input, const Arguments& arguments);

/// A filter: either with parameters, filled by bind_arguments(), or with arguments as they come.
struct Filter {
  std::vector<const char*> parameters;
  std::size_t required = 0;
  FilterFunction function = nullptr;
  FreeFilterFunction free_function = nullptr;
};
using FilterTable = std::unordered_map<std::string_view, Filter>;

// The parts of the table, by file.
void add_text_filters(FilterTable& table);
void add_sequence_filters(FilterTable& table);
void add_selection_filters(FilterTable& table);
void add_number_filters(FilterTable& table);

bool has_filter(const std::string& name);
Value apply_filter(Interpreter& interpreter, const std::string& name, const Value& input, const Arguments& arguments);

bool has_test(const std::string& name);
bool apply_test(Interpreter& interpreter, const std::string& name, const Value& input, const Arguments& arguments);

/// What `attribute="a.b.0"` of filters means: each part in turn. An empty path is the item itself.
std::vector<Value> attribute_path(const Value& attribute, Budget& budget);
Value follow_path(Interpreter& interpreter, Value item, const std::vector<Value>& path);

}  // namespace grpo::text::jinja

#endif
