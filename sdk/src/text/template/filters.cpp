#include "filters.hpp"

#include "interpreter.hpp"
#include "operations.hpp"

namespace grpo::text::jinja {
namespace {

const FilterTable& filters() {
  static const FilterTable table = [] {
    FilterTable all;
    add_text_filters(all);
    add_sequence_filters(all);
    add_selection_filters(all);
    add_number_filters(all);
    return all;
  }();
  return table;
}

}  // namespace

bool has_filter(const std::string& name) { return filters().count(name) > 0; }

Value apply_filter(Interpreter& interpreter, const std::string& name, const Value& input, const Arguments& arguments) {
  const auto found = filters().find(name);
  if (found == filters().end()) throw Failure("no filter named '" + name + "'");
  const Filter& filter = found->second;
  if (filter.free_function) return filter.free_function(interpreter, input, arguments);
  auto bound = bind_arguments("filter " + name, arguments, filter.parameters, filter.required);
  return filter.function(interpreter, input, bound);
}

std::vector<Value> attribute_path(const Value& attribute, Budget& budget) {
  if (attribute.is_missing() || attribute.is_none()) return {};
  if (!attribute.is_string()) return {attribute};
  std::vector<Value> path;
  const std::string& text = attribute.text();
  budget.build(text.size());
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find('.', start), text.size());
    const std::string part = text.substr(start, end - start);
    const bool number = !part.empty() && part.size() < 18 && part.find_first_not_of("0123456789") == std::string::npos;
    path.push_back(number ? Value(static_cast<std::int64_t>(std::stoll(part))) : Value(part));
    start = end + 1;
  }
  return path;
}

Value follow_path(Interpreter& interpreter, Value item, const std::vector<Value>& path) {
  for (const Value& part : path) item = interpreter.item(item, part);
  return item;
}

}  // namespace grpo::text::jinja
