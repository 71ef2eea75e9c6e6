// tests.cpp: what can stand after `is`.
#include <algorithm>

#include "filters.hpp"
#include "interpreter.hpp"
#include "operations.hpp"
#include "print.hpp"
#include "specials.hpp"
#include "unicode.hpp"

namespace grpo::text::jinja {
namespace {

using Operand = const std::vector<Value>&;
using TestFunction = bool (*)(Interpreter& interpreter, const Value& value, Operand operands);

struct Test {
  std::size_t operands;
  TestFunction function;
};

bool remainder_is(Interpreter& interpreter, const Value& value, const Value& divisor, std::int64_t rest) {
  Budget& budget = interpreter.budget();
  return equal(binary(Operator::modulo, value, divisor, budget), Value(rest), budget);
}

bool is_callable(const Value& value) {
  return value.is_undefined() || (value.is(Kind::special) && value.as<Special>().callable());
}

const std::unordered_map<std::string_view, Test>& tests() {
  using I = Interpreter&;
  using V = const Value&;
  static const std::unordered_map<std::string_view, Test> table = [] {
    std::unordered_map<std::string_view, Test> t;
    t["defined"] = {0, [](I, V v, Operand) { return !v.is_undefined(); }};
    t["undefined"] = {0, [](I, V v, Operand) { return v.is_undefined(); }};
    t["none"] = {0, [](I, V v, Operand) { return v.is_none(); }};
    t["boolean"] = {0, [](I, V v, Operand) { return v.is(Kind::boolean); }};
    t["true"] = {0, [](I, V v, Operand) { return v.is(Kind::boolean) && v.boolean(); }};
    t["false"] = {0, [](I, V v, Operand) { return v.is(Kind::boolean) && !v.boolean(); }};
    t["integer"] = {0, [](I, V v, Operand) { return v.is(Kind::integer); }};
    t["float"] = {0, [](I, V v, Operand) { return v.is(Kind::real); }};
    t["number"] = {0, [](I, V v, Operand) { return v.is_number(); }};
    t["string"] = {0, [](I, V v, Operand) { return v.is_string(); }};
    t["mapping"] = {0, [](I, V v, Operand) { return v.is(Kind::dict); }};
    t["iterable"] = {
        0, [](I, V v, Operand) { return is_iterable(v) || (v.is(Kind::special) && v.as<Special>().length() >= 0); }};
    t["sequence"] = {0, [](I, V v, Operand) { return has_length(v) && !v.is(Kind::view) && !v.is(Kind::special); }};
    t["callable"] = {0, [](I, V v, Operand) { return is_callable(v); }};
    t["escaped"] = {0, [](I, V v, Operand) { return v.is_markup(); }};
    t["filter"] = {0, [](I, V v, Operand) { return v.is_string() && has_filter(v.text()); }};
    t["test"] = {0, [](I, V v, Operand) { return v.is_string() && has_test(v.text()); }};
    t["odd"] = {0, [](I i, V v, Operand) { return remainder_is(i, v, Value(2), 1); }};
    t["even"] = {0, [](I i, V v, Operand) { return remainder_is(i, v, Value(2), 0); }};
    t["divisibleby"] = {1, [](I i, V v, Operand o) { return remainder_is(i, v, o[0], 0); }};
    t["lower"] = {0, [](I i, V v, Operand) { return all_cased(to_text(v, i.budget()), is_lower, is_upper); }};
    t["upper"] = {0, [](I i, V v, Operand) { return all_cased(to_text(v, i.budget()), is_upper, is_lower); }};
    t["sameas"] = {1, [](I, V v, Operand o) { return same(v, o[0]); }};
    t["in"] = {1, [](I i, V v, Operand o) { return contains(o[0], v, i.budget()); }};
    t["=="] = t["eq"] = t["equalto"] = {1, [](I i, V v, Operand o) { return equal(v, o[0], i.budget()); }};
    t["!="] = t["ne"] = {1, [](I i, V v, Operand o) { return !equal(v, o[0], i.budget()); }};
    t["<"] = t["lt"] = t["lessthan"] = {1, [](I i, V v, Operand o) { return less(v, o[0], i.budget()); }};
    t["<="] = t["le"] = {1, [](I i, V v, Operand o) { return less_equal(v, o[0], i.budget()); }};
    t[">"] = t["gt"] = t["greaterthan"] = {1, [](I i, V v, Operand o) { return less(o[0], v, i.budget(), ">"); }};
    t[">="] = t["ge"] = {1, [](I i, V v, Operand o) { return less_equal(o[0], v, i.budget(), ">="); }};
    return t;
  }();
  return table;
}

}  // namespace

bool has_test(const std::string& name) { return tests().count(name) > 0; }

bool apply_test(Interpreter& interpreter, const std::string& name, const Value& input, const Arguments& arguments) {
  const auto found = tests().find(name);
  if (found == tests().end()) throw Failure("no test named '" + name + "'");
  static const std::vector<const char*> parameters[] = {{}, {"other"}};
  const std::size_t operands = found->second.operands;
  return found->second.function(interpreter, input,
                                bind_arguments("test " + name, arguments, parameters[operands], operands));
}

}  // namespace grpo::text::jinja
