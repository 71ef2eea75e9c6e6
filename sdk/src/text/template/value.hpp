// value.hpp: what a template computes with: Python's values as far as chat templates can see them.
//
// A Value is a small handle. Scalars sit inside it; strings, lists, dicts and the rest are shared objects. All of them
// are immutable (the sandbox allows no change) except namespaces, iterators and loops.
#ifndef GRPO_TEXT_TEMPLATE_VALUE_HPP
#define GRPO_TEXT_TEMPLATE_VALUE_HPP

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "budget.hpp"

namespace grpo::text::jinja {

class Interpreter;
class Value;
struct Arguments;

enum class Kind : std::uint8_t {
  missing,  // no value at all: a parameter that was not given, a variable not set yet
  undefined,
  none,
  boolean,
  integer,
  real,
  string,
  list,
  tuple,
  dict,
  range,
  view,      // dict.keys(), .values(), .items()
  iterator,  // gives its items once: results of map, select, reverse, ...
  space,     // namespace()
  special,   // loops, macros, functions: what has attributes or can be called
};

struct Object {
  virtual ~Object() = default;
  std::uint32_t depth = 0;
};

struct String : Object {
  std::string text;
  bool markup = false;  // markupsafe.Markup: adding plain text to it escapes the plain text
};

struct List : Object {
  std::vector<Value> items;
};

/// Keeps insertion order. Filled while it is made, then constant.
struct Dict : Object {
  std::vector<std::pair<Value, Value>> items;
  const Value* find(const Value& key, Budget& budget) const;
  const Value* find(std::string_view key) const;
  void set(Value key, Value value, Budget& budget);

 private:
  std::unordered_multimap<std::size_t, std::size_t> index_;  // only for dicts that are not small
};

struct Range : Object {
  std::int64_t start = 0, stop = 0, step = 1;
  std::int64_t size() const;
};

struct View : Object {
  enum class Part : std::uint8_t { keys, values, items };
  std::shared_ptr<Dict> dict;
  Part part = Part::keys;
};

/// The next item, or false at the end. May run template code: map('upper') works as it is read.
using Next = std::function<bool(Value& item)>;

struct Iterator : Object {
  Next next;
  const char* type = "generator";
};

struct Undefined : Object {
  std::string message;  // what to say when something is asked of it
};

struct Space : Object {
  std::vector<std::pair<std::string, Value>> items;
};

/// Things with behaviour.
struct Special : Object, std::enable_shared_from_this<Special> {
  virtual const char* type() const = 0;
  virtual std::string print(Budget& budget) const = 0;
  /// Value::missing() where there is no such attribute.
  virtual Value attribute(Interpreter& interpreter, const std::string& name);
  virtual bool callable() const { return false; }
  virtual Value call(Interpreter& interpreter, const Arguments& arguments);
  virtual std::int64_t length() { return -1; }
};

class Value {
 public:
  Value() : Value(Kind::none) {}
  Value(bool value) : kind_(Kind::boolean) { bits_.integer = value; }          // NOLINT: literals convert
  Value(int value) : kind_(Kind::integer) { bits_.integer = value; }           // NOLINT
  Value(std::int64_t value) : kind_(Kind::integer) { bits_.integer = value; }  // NOLINT
  Value(double value) : kind_(Kind::real) { bits_.real = value; }              // NOLINT
  Value(std::string text, bool markup = false);                                // NOLINT
  Value(std::string_view text) : Value(std::string(text)) {}                   // NOLINT
  Value(const char* text) : Value(std::string(text)) {}                        // NOLINT

  static Value missing() { return Value(Kind::missing); }
  static Value none() { return Value(Kind::none); }
  static Value undefined(std::string message);
  static Value list(std::vector<Value> items, Budget& budget) { return sequence(Kind::list, std::move(items), budget); }
  static Value tuple(std::vector<Value> items, Budget& budget) {
    return sequence(Kind::tuple, std::move(items), budget);
  }
  static Value iterator(Next next, const Value& source, Budget& budget, const char* type = "generator");
  /// `object` must be of the type that goes with `kind`.
  static Value of(Kind kind, std::shared_ptr<Object> object);
  static Value from_json(const nlohmann::ordered_json& json, Budget& budget);

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_missing() const { return kind_ == Kind::missing; }
  bool is_undefined() const { return kind_ == Kind::undefined; }
  bool is_none() const { return kind_ == Kind::none; }
  bool is_string() const { return kind_ == Kind::string; }
  bool is_markup() const { return kind_ == Kind::string && as<String>().markup; }
  bool is_integral() const { return kind_ == Kind::integer || kind_ == Kind::boolean; }
  bool is_number() const { return is_integral() || kind_ == Kind::real; }

  bool boolean() const { return bits_.integer != 0; }
  std::int64_t integer() const { return bits_.integer; }  ///< of integers and booleans
  double real() const { return kind_ == Kind::real ? bits_.real : static_cast<double>(bits_.integer); }
  const std::string& text() const { return as<String>().text; }
  const std::vector<Value>& items() const { return as<List>().items; }  ///< of lists and tuples
  template <class T>
  T& as() const {
    return static_cast<T&>(*object_);
  }
  template <class T>
  std::shared_ptr<T> share() const {
    return std::static_pointer_cast<T>(object_);
  }
  const Object* object() const { return object_.get(); }
  std::uint32_t depth() const { return object_ ? object_->depth : 0; }

  bool truth() const;
  /// Python's name of the type: "str", "NoneType", ...
  const char* type_name() const;

 private:
  explicit Value(Kind kind) : kind_(kind) { bits_.integer = 0; }
  static Value sequence(Kind kind, std::vector<Value> items, Budget& budget);

  Kind kind_;
  union {
    std::int64_t integer;
    double real;
  } bits_;
  std::shared_ptr<Object> object_;
};

/// What a call was given.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// Fills the parameters of `function` as Python does: by position, then by name; what is not given is missing().
/// `parameters` are names; one that starts with "/" can only be given by position. The first `required` must be given.
std::vector<Value> bind_arguments(const std::string& function, const Arguments& arguments,
                                  const std::vector<const char*>& parameters, std::size_t required);

/// Hash and equality as dict keys have them. Throws Failure for what cannot be a key.
std::size_t hash_key(const Value& value, Budget& budget);

/// Depth of a container that holds `value`, checked.
void deepen(Object& container, const Value& value);

}  // namespace grpo::text::jinja

#endif
