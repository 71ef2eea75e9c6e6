// methods.cpp: object.name where that is a method of str, dict or list.
#include "methods.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "interpreter.hpp"
#include "operations.hpp"
#include "print.hpp"
#include "specials.hpp"

namespace grpo::text::jinja {
namespace {

const StringMethods& string_methods() {
  static const StringMethods table = [] {
    StringMethods all;
    add_search_methods(all);
    add_change_methods(all);
    return all;
  }();
  return table;
}

constexpr const char* builtin = "built-in method";

template <std::size_t size>
bool is_one_of(const std::string& name, const std::array<const char*, size>& names) {
  return std::any_of(names.begin(), names.end(), [&name](const char* other) { return name == other; });
}

Value refused(const Value& object, const std::string& name) {
  return Value::undefined("access to attribute '" + name + "' of '" + object.type_name() +
                          "' object is unsafe: templates cannot change their values");
}

Value string_method(const Value& object, const std::string& name) {
  const auto found = string_methods().find(name);
  if (found != string_methods().end()) {
    const StringMethod& method = found->second;
    return make_function(
        name,
        [object, &method, name](Interpreter& interpreter, const Arguments& given) {
          interpreter.budget().step(1 + object.text().size() / 64);
          auto bound = bind_arguments(name, given, method.parameters, method.required);
          return method.function(interpreter, object, bound);
        },
        object, builtin);
  }
  if (name == "format" || name == "format_map") {
    return make_function(
        name,
        [object, name](Interpreter& interpreter, const Arguments& given) {
          if (name == "format") return format_braces(interpreter, object, given);
          const auto bound = bind_arguments(name, given, {"/mapping"}, 1);
          if (!bound[0].is(Kind::dict)) throw Failure("format_map() needs a dict");
          Arguments named;
          for (const auto& [key, value] : bound[0].as<Dict>().items) {
            if (key.is_string()) named.named.emplace_back(key.text(), value);
          }
          return format_braces(interpreter, object, named);
        },
        object, builtin);
  }
  static constexpr std::array<const char*, 3> others = {"encode", "translate", "maketrans"};
  if (is_one_of(name, others)) return Value::undefined("the method '" + name + "' of str is not supported here");
  return Value::missing();
}

Value make_view(const Value& dict, View::Part part) {
  auto view = std::make_shared<View>();
  view->dict = dict.share<Dict>();
  view->part = part;
  deepen(*view, dict);
  return Value::of(Kind::view, std::move(view));
}

Value dict_method(const Value& object, const std::string& name) {
  static constexpr std::array<const char*, 5> changing = {"clear", "pop", "popitem", "setdefault", "update"};
  if (is_one_of(name, changing)) return refused(object, name);
  Function::Body body;
  if (name == "get") {
    body = [object](Interpreter& interpreter, const Arguments& given) {
      const auto bound = bind_arguments("get", given, {"/key", "/default"}, 1);
      if (const Value* found = object.as<Dict>().find(bound[0], interpreter.budget())) return *found;
      return bound[1].is_missing() ? Value::none() : bound[1];
    };
  } else if (name == "keys" || name == "values" || name == "items") {
    const View::Part part = name == "keys"     ? View::Part::keys
                            : name == "values" ? View::Part::values
                                               : View::Part::items;
    body = [object, part, name](Interpreter&, const Arguments& given) {
      bind_arguments(name, given, {}, 0);
      return make_view(object, part);
    };
  } else if (name == "copy") {
    body = [object](Interpreter& interpreter, const Arguments& given) {
      bind_arguments("copy", given, {}, 0);
      auto copy = std::make_shared<Dict>();
      for (const auto& [key, value] : object.as<Dict>().items) copy->set(key, value, interpreter.budget());
      return Value::of(Kind::dict, std::move(copy));
    };
  } else if (name == "fromkeys") {
    return Value::undefined("the method 'fromkeys' of dict is not supported here");
  } else {
    return Value::missing();
  }
  return make_function(name, std::move(body), object, builtin);
}

Value list_method(const Value& object, const std::string& name) {
  static constexpr std::array<const char*, 8> changing = {"append", "clear", "pop",    "reverse",
                                                          "insert", "sort",  "extend", "remove"};
  if (object.is(Kind::list) && is_one_of(name, changing)) return refused(object, name);
  Function::Body body;
  if (name == "index") {
    body = [object](Interpreter& interpreter, const Arguments& given) {
      const auto bound = bind_arguments("index", given, {"/value", "/start", "/stop"}, 1);
      const auto size = static_cast<std::int64_t>(object.items().size());
      const auto place = [size](const Value& at, std::int64_t otherwise) {
        if (at.is_missing()) return otherwise;
        const std::int64_t position = to_integer(at, "a position");
        return std::clamp(position < 0 ? position + size : position, std::int64_t{0}, size);
      };
      for (std::int64_t i = place(bound[1], 0); i < place(bound[2], size); ++i) {
        const Value& item = object.items()[static_cast<std::size_t>(i)];
        if (same(item, bound[0]) || equal(item, bound[0], interpreter.budget())) return Value(i);
      }
      throw Failure(repr(bound[0], interpreter.budget()) + " is not in the " + object.type_name());
    };
  } else if (name == "count") {
    body = [object](Interpreter& interpreter, const Arguments& given) {
      const auto bound = bind_arguments("count", given, {"/value"}, 1);
      std::int64_t count = 0;
      for (const Value& item : object.items()) {
        if (same(item, bound[0]) || equal(item, bound[0], interpreter.budget())) ++count;
      }
      return Value(count);
    };
  } else if (name == "copy" && object.is(Kind::list)) {
    body = [object](Interpreter& interpreter, const Arguments& given) {
      bind_arguments("copy", given, {}, 0);
      return Value::list(object.items(), interpreter.budget());
    };
  } else {
    return Value::missing();
  }
  return make_function(name, std::move(body), object, builtin);
}

}  // namespace

const std::string& text_argument(const Value& given, const char* method) {
  if (given.is_undefined()) fail_undefined(given);
  if (!given.is_string()) throw Failure(std::string(method) + "() needs a str, not '" + given.type_name() + "'");
  return given.text();
}

Value method(const Value& object, const std::string& name) {
  if (name.size() > 4 && name.compare(0, 2, "__") == 0 && name.compare(name.size() - 2, 2, "__") == 0) {
    // what every Python object has inside
    const bool is_key = object.is(Kind::dict) && object.as<Dict>().find(name);
    return is_key ? Value::missing()
                  : Value::undefined("access to attribute '" + name + "' of '" + object.type_name() +
                                     "' object is unsafe.");
  }
  switch (object.kind()) {
    case Kind::string:
      return string_method(object, name);
    case Kind::dict:
      return dict_method(object, name);
    case Kind::list:
    case Kind::tuple:
      return list_method(object, name);
    case Kind::real:
      if (name != "is_integer") return Value::missing();
      return make_function(name, [object](Interpreter&, const Arguments&) {
        return Value(std::floor(object.real()) == object.real() && std::isfinite(object.real()));
      });
    case Kind::integer:
    case Kind::boolean:
      if (name == "real" || name == "numerator") return Value(object.integer());
      if (name == "imag") return Value(0);
      if (name == "denominator") return Value(1);
      return Value::missing();
    default:
      return Value::missing();
  }
}

}  // namespace grpo::text::jinja
