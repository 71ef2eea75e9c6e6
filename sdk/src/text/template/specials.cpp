#include "specials.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "interpreter.hpp"
#include "operations.hpp"
#include "print.hpp"

namespace grpo::text::jinja {
namespace {

constexpr std::int64_t max_range = 100000;  // the sandbox's

Value range(Interpreter&, const Arguments& given) {
  const auto values = bind_arguments("range", given, {"/start", "/stop", "/step"}, 1);
  auto result = std::make_shared<Range>();
  if (values[1].is_missing()) {
    result->stop = to_integer(values[0], "the end of a range");
  } else {
    result->start = to_integer(values[0], "the start of a range");
    result->stop = to_integer(values[1], "the end of a range");
    if (!values[2].is_missing()) result->step = to_integer(values[2], "the step of a range");
  }
  if (result->step == 0) throw Failure("range() arg 3 must not be zero");
  constexpr std::int64_t far = std::int64_t{1} << 61;
  const bool near = std::max({std::abs(result->start), std::abs(result->stop), std::abs(result->step)}) < far;
  if (!near || result->size() > max_range) {
    throw Failure("range too big: the sandbox blocks ranges larger than " + std::to_string(max_range));
  }
  return Value::of(Kind::range, std::move(result));
}

// dict(mapping or pairs, name=value, ...)
Value make_dict(Interpreter& interpreter, const Arguments& given) {
  Budget& budget = interpreter.budget();
  auto result = std::make_shared<Dict>();
  if (given.positional.size() > 1) throw Failure("dict expected at most 1 argument");
  if (given.positional.size() == 1) {
    const Value& source = given.positional[0];
    if (source.is(Kind::dict)) {
      for (const auto& [key, value] : source.as<Dict>().items) result->set(key, value, budget);
    } else {
      const Next next = iterate(source, budget);
      for (Value item; next(item);) {
        std::vector<Value> pair = collect(item, budget);
        if (pair.size() != 2) throw Failure("dict() needs a mapping or pairs");
        result->set(pair[0], pair[1], budget);
      }
    }
  }
  for (const auto& [name, value] : given.named) result->set(name, value, budget);
  return Value::of(Kind::dict, std::move(result));
}

Value raise_exception(Interpreter& interpreter, const Arguments& given) {
  const auto values = bind_arguments("raise_exception", given, {"message"}, 1);
  throw Failure(to_text(values[0], interpreter.budget()));
}

Value strftime_now(Interpreter&, const Arguments& given) {
  const auto values = bind_arguments("strftime_now", given, {"format"}, 1);
  if (!values[0].is_string()) throw Failure("strftime_now needs a format");
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  std::tm local{};
  localtime_r(&seconds, &local);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count() % 1000000;
  // Python's datetime without a time zone: %f is microseconds, %z and %Z are empty
  std::string format;
  const std::string& text = values[0].text();
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (text[i] != '%' || next == '\0') {
      format += text[i];
      continue;
    }
    ++i;
    if (next == 'f') {
      std::string digits = std::to_string(micros);
      format += std::string(6 - digits.size(), '0') + digits;
    } else if (next != 'z' && next != 'Z') {
      format += {'%', next};
    }
  }
  if (format.empty()) return "";
  std::string out(format.size() * 8 + 256, '\0');
  out.resize(std::strftime(out.data(), out.size(), format.c_str(), &local));
  return out;
}

/// cycler('a', 'b'): .next(), .current, .reset()
struct Cycler : Special {
  std::vector<Value> items;
  std::size_t position = 0;

  Value move(const std::string& how) {
    if (how == "reset") {
      position = 0;
      return Value::none();
    }
    const Value value = items[position];
    position = (position + 1) % items.size();
    return value;
  }

  const char* type() const override { return "Cycler"; }
  std::string print(Budget&) const override { return "<jinja2.utils.Cycler object>"; }
  Value attribute(Interpreter&, const std::string& name) override {
    if (name == "current") return items[position];
    if (name == "pos") return static_cast<std::int64_t>(position);
    if (name != "next" && name != "reset") return Value::missing();
    const Value self = Value::of(Kind::special, shared_from_this());
    return make_function(
        name, [self, name](Interpreter&, const Arguments&) { return self.as<Cycler>().move(name); }, self);
  }
};

/// joiner(', '): nothing at the first call, the separator after
struct Joiner : Special {
  Value separator;
  bool used = false;

  const char* type() const override { return "Joiner"; }
  std::string print(Budget&) const override { return "<jinja2.utils.Joiner object>"; }
  bool callable() const override { return true; }
  Value call(Interpreter&, const Arguments&) override { return std::exchange(used, true) ? separator : Value(""); }
};

}  // namespace

Value make_function(std::string name, Function::Body body, const Value& holds, const char* type_name) {
  auto function = std::make_shared<Function>();
  deepen(*function, holds);
  function->name = std::move(name);
  function->body = std::move(body);
  function->type_name = type_name;
  return Value::of(Kind::special, std::move(function));
}

Value global(const std::string& name) {
  if (name == "range") return make_function(name, range);
  if (name == "dict") return make_function(name, make_dict);
  if (name == "raise_exception") return make_function(name, raise_exception);
  if (name == "strftime_now") return make_function(name, strftime_now);
  if (name == "namespace") {
    return make_function(
        name, [](Interpreter& interpreter, const Arguments& given) { return interpreter.make_namespace(given); });
  }
  if (name == "cycler") {
    return make_function(name, [](Interpreter&, const Arguments& given) {
      if (given.positional.empty()) throw Failure("at least one item has to be provided");
      auto cycler = std::make_shared<Cycler>();
      for (const Value& item : given.positional) deepen(*cycler, item);
      cycler->items = given.positional;
      return Value::of(Kind::special, std::move(cycler));
    });
  }
  if (name == "joiner") {
    return make_function(name, [](Interpreter&, const Arguments& given) {
      auto joiner = std::make_shared<Joiner>();
      const auto values = bind_arguments("joiner", given, {"sep"}, 0);
      joiner->separator = values[0].is_missing() ? Value(", ") : values[0];
      deepen(*joiner, joiner->separator);
      return Value::of(Kind::special, std::move(joiner));
    });
  }
  return Value::missing();
}

// -- macros

std::string Macro::print(Budget&) const {
  return "<Macro " + (definition->name.empty() ? "anonymous" : repr_text(definition->name)) + ">";
}

Value Macro::attribute(Interpreter& interpreter, const std::string& name) {
  if (name == "name") return definition->name.empty() ? Value::none() : Value(definition->name);
  if (name == "arguments") {
    std::vector<Value> names(definition->parameter_names.begin(), definition->parameter_names.end());
    return Value::tuple(std::move(names), interpreter.budget());
  }
  if (name == "catch_kwargs") return definition->uses_kwargs;
  if (name == "catch_varargs") return definition->uses_varargs;
  if (name == "caller") return definition->uses_caller;
  return Value::missing();
}

Value Macro::call(Interpreter& interpreter, const Arguments& given) {
  return interpreter.call_macro(*definition, scope, given);
}

// -- loops

bool Loop::advance(Value& item) {
  if (!ahead.empty()) {
    item = std::move(ahead.back());
    ahead.pop_back();
  } else if (!next(item)) {
    return false;
  }
  ++index0;
  previous = std::exchange(current, item);
  return true;
}

bool Loop::peek(Value& item) {
  if (ahead.empty()) {
    Value read;
    if (!next(read)) return false;
    ahead.push_back(std::move(read));
  }
  item = ahead.back();
  return true;
}

std::int64_t Loop::length() {
  if (known_length < 0) {
    std::vector<Value> rest;
    for (Value item; next(item);) rest.push_back(item);
    std::reverse(rest.begin(), rest.end());
    rest.insert(rest.end(), ahead.begin(), ahead.end());
    ahead = std::move(rest);
    known_length = index0 + 1 + static_cast<std::int64_t>(ahead.size());
  }
  return known_length;
}

std::string Loop::print(Budget&) const {
  return "<LoopContext " + std::to_string(index0 + 1) + "/" + std::to_string(const_cast<Loop*>(this)->length()) + ">";
}

Value Loop::attribute(Interpreter&, const std::string& name) {
  if (name == "index") return index0 + 1;
  if (name == "index0") return index0;
  if (name == "first") return index0 == 0;
  Value item;
  if (name == "last") return !peek(item);
  if (name == "nextitem") return peek(item) ? item : Value::undefined("there is no next item");
  if (name == "previtem") return index0 == 0 ? Value::undefined("there is no previous item") : previous;
  if (name == "length") return length();
  if (name == "revindex") return length() - index0;
  if (name == "revindex0") return length() - index0 - 1;
  if (name == "depth") return std::int64_t{depth0} + 1;
  if (name == "depth0") return std::int64_t{depth0};
  const Value self = Value::of(Kind::special, shared_from_this());
  if (name == "cycle") {
    return make_function(
        name,
        [self](Interpreter&, const Arguments& given) {
          if (given.positional.empty()) throw Failure("no items for cycling given");
          return given.positional[static_cast<std::size_t>(self.as<Loop>().index0) % given.positional.size()];
        },
        self);
  }
  if (name == "changed") {
    return make_function(
        name,
        [self](Interpreter& interpreter, const Arguments& given) {
          const auto loop = self.share<Loop>();
          const Value values = Value::tuple(given.positional, interpreter.budget());
          if (!loop->changed_value.is_missing() && equal(loop->changed_value, values, interpreter.budget()))
            return Value(false);
          if (loop->changed_value.is_missing()) interpreter.keep(loop);
          loop->changed_value = values;
          return Value(true);
        },
        self);
  }
  return Value::missing();
}

Value Loop::call(Interpreter& interpreter, const Arguments& given) {
  if (!statement) throw Failure("The loop must have the 'recursive' marker to be called recursively.");
  const auto values = bind_arguments("loop", given, {"iterable"}, 1);
  return interpreter.call_loop(*statement, scope, values[0], depth0 + 1);
}

}  // namespace grpo::text::jinja
