// expressions.cpp: what stands between {{ and }}.
#include <nlohmann/json.hpp>

#include "filters.hpp"
#include "interpreter.hpp"
#include "print.hpp"
#include "specials.hpp"

namespace grpo::text::jinja {
namespace {

std::string no_attribute(const Value& object, const std::string& name) {
  const std::string type = object.is_none() ? "None" : "'" + std::string(object.type_name()) + " object'";
  return type + " has no attribute '" + name + "'";
}

}  // namespace

std::vector<Value> Interpreter::evaluate_all(const std::vector<ExpressionPointer>& nodes,
                                             const std::shared_ptr<Scope>& scope) {
  std::vector<Value> values;
  values.reserve(nodes.size());
  for (const auto& node : nodes) values.push_back(evaluate(*node, scope));
  return values;
}

Value Interpreter::evaluate(const Expression& node, const std::shared_ptr<Scope>& scope) {
  using K = Expression::Kind;
  budget_.step();
  budget_.check_stack();
  switch (node.kind) {
    case K::constant:
      return node.value;
    case K::name:
      line_ = node.line;
      return name(node.id, *scope);
    case K::list:
      return Value::list(evaluate_all(node.parts, scope), budget_);
    case K::tuple:
      return Value::tuple(evaluate_all(node.parts, scope), budget_);
    case K::dict:
      return dict(node, scope);
    case K::conditional:
      if (evaluate(*node.parts[0], scope).truth()) return evaluate(*node.parts[1], scope);
      if (node.parts.size() > 2) return evaluate(*node.parts[2], scope);
      return Value::undefined("the inline if-expression on line " + std::to_string(node.line) +
                              " evaluated to false and no else section was defined.");
    case K::logical_or: {
      Value left = evaluate(*node.parts[0], scope);
      return left.truth() ? left : evaluate(*node.parts[1], scope);
    }
    case K::logical_and: {
      Value left = evaluate(*node.parts[0], scope);
      return left.truth() ? evaluate(*node.parts[1], scope) : left;
    }
    case K::logical_not:
      return !evaluate(*node.parts[0], scope).truth();
    case K::comparison:
      return compare(node, scope);
    case K::binary: {
      const Value left = evaluate(*node.parts[0], scope);
      const Value right = evaluate(*node.parts[1], scope);
      line_ = node.line;
      return binary(node.op, left, right, budget_);
    }
    case K::negative: {
      const Value value = evaluate(*node.parts[0], scope);
      line_ = node.line;
      return negate(value);
    }
    case K::positive: {
      const Value value = evaluate(*node.parts[0], scope);
      line_ = node.line;
      return plus(value);
    }
    case K::concat:
      return concat(node, scope);
    case K::attribute: {
      const Value object = evaluate(*node.parts[0], scope);
      line_ = node.line;
      return attribute(object, node.text);
    }
    case K::item: {
      const Value object = evaluate(*node.parts[0], scope);
      const Value index = evaluate(*node.parts[1], scope);
      line_ = node.line;
      return item(object, index);
    }
    case K::slice: {
      Value parts[4];
      for (std::size_t i = 0; i < 4; ++i) {
        if (node.parts[i]) parts[i] = evaluate(*node.parts[i], scope);
      }
      line_ = node.line;
      return slice(parts[0], parts[1], parts[2], parts[3], budget_);
    }
    case K::call:
      return call_expression(node, scope);
    case K::filter:
      return filter(node, scope);
    case K::test:
      return test(node, scope);
  }
  return Value::none();
}

Value Interpreter::name(NameId id, const Scope& scope) {
  const std::string& text = ast_.names[static_cast<std::size_t>(id)];
  if (const Value* found = scope.find(id)) {
    if (!found->is_missing()) return *found;
    return Value::undefined("'" + text + "' is undefined");
  }
  if (globals_.size() <= static_cast<std::size_t>(id)) globals_.resize(ast_.names.size(), Value::missing());
  Value& known = globals_[static_cast<std::size_t>(id)];
  if (known.is_missing()) {
    const auto given = variables_.find(text);
    known = given != variables_.end() ? Value::from_json(*given, budget_) : global(text);
    if (known.is_missing()) known = Value::undefined("'" + text + "' is undefined");
  }
  return known;
}

Value Interpreter::compare(const Expression& node, const std::shared_ptr<Scope>& scope) {
  Value left = evaluate(*node.parts[0], scope);
  for (std::size_t i = 0; i < node.comparisons.size(); ++i) {
    Value right = evaluate(*node.parts[i + 1], scope);
    line_ = node.line;
    bool holds = false;
    switch (node.comparisons[i]) {
      case Comparison::equal:
        holds = equal(left, right, budget_);
        break;
      case Comparison::not_equal:
        holds = !equal(left, right, budget_);
        break;
      case Comparison::less:
        holds = less(left, right, budget_);
        break;
      case Comparison::less_equal:
        holds = less_equal(left, right, budget_);
        break;
      case Comparison::greater:
        holds = less(right, left, budget_, ">");
        break;
      case Comparison::greater_equal:
        holds = less_equal(right, left, budget_, ">=");
        break;
      case Comparison::in:
        holds = contains(right, left, budget_);
        break;
      case Comparison::not_in:
        holds = !contains(right, left, budget_);
        break;
    }
    if (!holds) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::concat(const Expression& node, const std::shared_ptr<Scope>& scope) {
  std::string text;
  for (const Value& part : evaluate_all(node.parts, scope)) {
    line_ = node.line;
    text += to_text(part, budget_);
  }
  budget_.build(text.size());
  return text;
}

Value Interpreter::dict(const Expression& node, const std::shared_ptr<Scope>& scope) {
  auto result = std::make_shared<Dict>();
  for (std::size_t i = 0; i < node.parts.size(); i += 2) {
    Value key = evaluate(*node.parts[i], scope);
    Value value = evaluate(*node.parts[i + 1], scope);
    line_ = node.line;
    result->set(std::move(key), std::move(value), budget_);
  }
  return Value::of(Kind::dict, std::move(result));
}

// -- attributes and items

Value Interpreter::attribute(const Value& object, const std::string& name) {
  switch (object.kind()) {
    case Kind::undefined:
      fail_undefined(object);
    case Kind::space:
      for (const auto& [known, value] : object.as<Space>().items) {
        if (known == name) return value;
      }
      break;
    case Kind::special: {
      Value value = object.as<Special>().attribute(*this, name);
      if (!value.is_missing()) return value;
      break;
    }
    default: {
      Value value = method(object, name);
      if (!value.is_missing()) return value;
      if (object.is(Kind::dict)) {
        if (const Value* found = object.as<Dict>().find(name)) return *found;
      }
    }
  }
  return Value::undefined(no_attribute(object, name));
}

Value Interpreter::item(const Value& object, const Value& index) {
  if (object.is_undefined()) fail_undefined(object);
  Value value = item_or_missing(object, index, budget_);
  if (!value.is_missing()) return value;
  if (index.is_string()) return attribute(object, index.text());
  const std::string type = object.is_none() ? "None" : std::string(object.type_name()) + " object";
  return Value::undefined(type + " has no element " + repr(index, budget_));
}

// -- calls

Arguments Interpreter::arguments(const CallArguments& nodes, const std::shared_ptr<Scope>& scope) {
  Arguments given;
  given.positional = evaluate_all(nodes.positional, scope);
  for (const auto& [name, node] : nodes.named) given.named.emplace_back(name, evaluate(*node, scope));
  if (nodes.star) {
    for (Value& value : collect(evaluate(*nodes.star, scope), budget_)) given.positional.push_back(std::move(value));
  }
  if (!nodes.double_star) return given;
  const Value more = evaluate(*nodes.double_star, scope);
  if (!more.is(Kind::dict)) throw Failure("argument after ** must be a mapping, not " + std::string(more.type_name()));
  for (const auto& [key, value] : more.as<Dict>().items) {
    if (!key.is_string()) throw Failure("keywords must be strings");
    for (const auto& [known, other] : given.named) {
      if (known == key.text()) throw Failure("multiple values for the keyword argument '" + known + "'");
    }
    given.named.emplace_back(key.text(), value);
  }
  return given;
}

Value Interpreter::call(const Value& callee, const Arguments& given) {
  budget_.check_stack();
  if (callee.is_undefined()) fail_undefined(callee);
  if (!callee.is(Kind::special)) throw Failure("'" + std::string(callee.type_name()) + "' object is not callable");
  return callee.share<Special>()->call(*this, given);
}

Value Interpreter::call_expression(const Expression& node, const std::shared_ptr<Scope>& scope, const Value* caller) {
  const Expression& callee = *node.parts[0];
  const Value function = evaluate(callee, scope);
  Arguments given = arguments(node.arguments, scope);
  if (caller) given.named.emplace_back("caller", *caller);
  line_ = node.line;
  return call(function, given);
}

Value Interpreter::filter(const Expression& node, const std::shared_ptr<Scope>& scope, const Value* input) {
  // In filter blocks the innermost filter has no input of its own: it gets what the block printed.
  const Value value = !node.parts[0]                                             ? *input
                      : input && node.parts[0]->kind == Expression::Kind::filter ? filter(*node.parts[0], scope, input)
                                                                                 : evaluate(*node.parts[0], scope);
  const Arguments given = arguments(node.arguments, scope);
  line_ = node.line;
  return apply_filter(*this, node.text, value, given);
}

Value Interpreter::test(const Expression& node, const std::shared_ptr<Scope>& scope) {
  const Value value = evaluate(*node.parts[0], scope);
  const Arguments given = arguments(node.arguments, scope);
  line_ = node.line;
  return apply_test(*this, node.text, value, given);
}

}  // namespace grpo::text::jinja
