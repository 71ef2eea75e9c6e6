// filters_selection.cpp: map, select, reject, selectattr, rejectattr. Their results are read once, item by item.
#include "filters.hpp"
#include "interpreter.hpp"
#include "operations.hpp"

namespace grpo::text::jinja {
namespace {

using Transform = std::function<Value(const Value& item)>;
using Condition = std::function<bool(const Value& item)>;

/// An iterator over `input` that is empty where input is false, made by `make` when the first item is asked for: what
/// is wrong with the arguments shows only then.
Value lazily(Interpreter& interpreter, const Value& input, const Arguments& arguments, std::function<Next(Next)> make) {
  Budget& budget = interpreter.budget();
  Value iterator = Value::iterator(
      [input, &budget, make = std::move(make), next = Next(), begun = false](Value& item) mutable {
        if (!begun) {
          begun = true;
          if (input.truth()) next = make(iterate(input, budget));
        }
        return next && next(item);
      },
      input, budget);
  for (const Value& value : arguments.positional) deepen(iterator.as<Iterator>(), value);
  for (const auto& [name, value] : arguments.named) deepen(iterator.as<Iterator>(), value);
  return iterator;
}

Transform make_transform(Interpreter& interpreter, Arguments arguments) {
  if (arguments.positional.empty()) {
    Value attribute = Value::missing(), otherwise = Value::missing();
    for (const auto& [name, value] : arguments.named) {
      if (name == "attribute") {
        attribute = value;
      } else if (name == "default") {
        otherwise = value;
      } else if (!attribute.is_missing() || arguments.named.size() > 1) {
        throw Failure("Unexpected keyword argument '" + name + "'");
      }
    }
    if (attribute.is_missing()) throw Failure("map requires a filter argument");
    const bool has_default = !otherwise.is_missing() && !otherwise.is_none();
    return [&interpreter, path = attribute_path(attribute, interpreter.budget()), otherwise,
            has_default](const Value& item) {
      Value value = item;
      for (const Value& part : path) {
        value = interpreter.item(value, part);
        if (has_default && value.is_undefined()) value = otherwise;
      }
      return value;
    };
  }
  if (!arguments.positional[0].is_string()) throw Failure("map requires the name of a filter");
  const std::string name = arguments.positional[0].text();
  arguments.positional.erase(arguments.positional.begin());
  return
      [&interpreter, name, arguments](const Value& item) { return apply_filter(interpreter, name, item, arguments); };
}

Value map(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  return lazily(interpreter, input, arguments, [&interpreter, arguments](Next next) -> Next {
    return [next = std::move(next), transform = make_transform(interpreter, arguments)](Value& item) {
      Value read;
      if (!next(read)) return false;
      item = transform(read);
      return true;
    };
  });
}

Condition make_condition(Interpreter& interpreter, Arguments arguments, bool of_attribute) {
  auto& given = arguments.positional;
  std::vector<Value> path;
  if (of_attribute) {
    if (given.empty()) throw Failure("Missing parameter for attribute name");
    path = attribute_path(given[0], interpreter.budget());
    given.erase(given.begin());
  }
  std::string test;
  if (!given.empty()) {
    if (!given[0].is_string()) throw Failure("a test is given by its name");
    test = given[0].text();
    given.erase(given.begin());
  }
  return [&interpreter, path, test, arguments](const Value& item) {
    const Value value = follow_path(interpreter, item, path);
    return test.empty() ? value.truth() : apply_test(interpreter, test, value, arguments);
  };
}

template <bool of_attribute, bool wanted>
Value select(Interpreter& interpreter, const Value& input, const Arguments& arguments) {
  return lazily(interpreter, input, arguments, [&interpreter, arguments](Next next) -> Next {
    return [next = std::move(next), condition = make_condition(interpreter, arguments, of_attribute)](Value& item) {
      while (next(item)) {
        if (condition(item) == wanted) return true;
      }
      return false;
    };
  });
}

}  // namespace

void add_selection_filters(FilterTable& table) {
  table["map"] = {{}, 0, nullptr, map};
  table["select"] = {{}, 0, nullptr, select<false, true>};
  table["reject"] = {{}, 0, nullptr, select<false, false>};
  table["selectattr"] = {{}, 0, nullptr, select<true, true>};
  table["rejectattr"] = {{}, 0, nullptr, select<true, false>};
}

}  // namespace grpo::text::jinja
