// statements.cpp: tags.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "filters.hpp"
#include "interpreter.hpp"
#include "parser.hpp"
#include "print.hpp"
#include "specials.hpp"

namespace grpo::text::jinja {

const Value* Scope::find(NameId id) const {
  for (const Scope* scope = this; scope; scope = scope->parent.get()) {
    for (const auto& [known, value] : scope->variables) {
      if (known == id) return &value;
    }
  }
  return nullptr;
}

void Scope::set(NameId id, Value value) {
  for (auto& [known, old] : variables) {
    if (known == id) {
      old = std::move(value);
      return;
    }
  }
  variables.emplace_back(id, std::move(value));
}

Interpreter::Interpreter(const Ast& ast, const nlohmann::ordered_json& variables, const TemplateLimits& limits)
    : ast_(ast), variables_(variables), budget_(limits) {}

Interpreter::~Interpreter() {
  for (const auto& scope : kept_scopes_) scope->variables.clear();
  for (const auto& space : spaces_) space->items.clear();
  for (const auto& loop : kept_loops_) loop->changed_value = Value::missing();
}

std::string Interpreter::run() {
  std::string out;
  out_ = page_ = &out;
  const auto root = enter(nullptr, ast_.unset);
  execute(ast_.body, root);
  return out;
}

std::shared_ptr<Scope> Interpreter::enter(const std::shared_ptr<Scope>& parent, const std::vector<NameId>& unset) {
  auto scope = std::make_shared<Scope>();
  scope->parent = parent;
  for (const NameId id : unset) scope->variables.emplace_back(id, Value::missing());
  return scope;
}

void Interpreter::keep(const std::shared_ptr<Scope>& scope) {
  budget_.build(sizeof(Scope));
  kept_scopes_.push_back(scope);
}

void Interpreter::keep(const std::shared_ptr<Loop>& loop) {
  budget_.build(sizeof(Loop));
  kept_loops_.push_back(loop);
}

void Interpreter::print(std::string_view text) {
  budget_.build(text.size());
  out_->append(text);
}

Interpreter::Flow Interpreter::execute(const Body& body, const std::shared_ptr<Scope>& scope) {
  for (const auto& node : body) {
    const Flow flow = execute(*node, scope);
    if (flow != Flow::on) return flow;
  }
  return Flow::on;
}

Interpreter::Flow Interpreter::execute(const Statement& node, const std::shared_ptr<Scope>& scope) {
  budget_.step();
  budget_.check_stack();
  line_ = node.line;
  switch (node.kind) {
    case Statement::Kind::text:
      print(node.text);
      return Flow::on;
    case Statement::Kind::print: {
      const Value value = evaluate(*node.expression, scope);
      if (value.is_string()) {
        print(value.text());
      } else {
        print(to_text(value, budget_));
      }
      return Flow::on;
    }
    case Statement::Kind::branch:
      return execute(evaluate(*node.expression, scope).truth() ? node.body : node.otherwise, scope);
    case Statement::Kind::loop: {
      const Value items = evaluate(*node.expression, scope);
      line_ = node.line;
      if (node.recursive) {
        print(call_loop(node, scope, items, 0).text());
        return Flow::on;
      }
      bool empty = true;
      loop(node, scope, items, 0, empty);
      // the else part may hold a `break` of the loop around this one
      return empty ? execute(node.otherwise, enter(scope, node.unset_otherwise)) : Flow::on;
    }
    case Statement::Kind::set:
      assign(*node.target, evaluate(*node.expression, scope), *scope);
      return Flow::on;
    case Statement::Kind::set_block: {
      Flow flow = Flow::on;
      Value value = capture(node.body, scope, node.unset, flow);
      if (flow != Flow::on) return flow;
      if (node.expression) value = filter(*node.expression, scope, &value);
      assign(*node.target, value, *scope);
      return Flow::on;
    }
    case Statement::Kind::macro: {
      auto macro = std::make_shared<Macro>();
      macro->definition = node.macro;
      macro->scope = scope;
      keep(scope);
      scope->set(node.id, Value::of(Kind::special, std::move(macro)));
      return Flow::on;
    }
    case Statement::Kind::call:
      call_block(node, scope);
      return Flow::on;
    case Statement::Kind::filter: {
      Flow flow = Flow::on;
      const Value value = capture(node.body, scope, node.unset, flow);
      if (flow != Flow::on) return flow;
      print(to_text(filter(*node.expression, scope, &value), budget_));
      return Flow::on;
    }
    case Statement::Kind::with: {
      const auto inner = enter(scope, node.unset);
      for (std::size_t i = 0; i < node.parts.size(); i += 2) {
        assign(*node.parts[i], evaluate(*node.parts[i + 1], scope), *inner);
      }
      return execute(node.body, inner);
    }
    case Statement::Kind::scope: {
      const std::size_t begin = out_->size();
      const Flow flow = execute(node.body, enter(scope, node.unset));
      if (out_ == page_ && out_->size() > begin) generated_.push_back({begin, out_->size()});
      return flow;
    }
    case Statement::Kind::leave:
      return Flow::leave;
    case Statement::Kind::next:
      return Flow::next;
  }
  return Flow::on;
}

std::string Interpreter::capture(const Body& body, const std::shared_ptr<Scope>& scope,
                                 const std::vector<NameId>& unset, Flow& flow) {
  std::string text;
  std::string* const outer = std::exchange(out_, &text);
  try {
    flow = execute(body, enter(scope, unset));
  } catch (...) {
    out_ = outer;
    throw;
  }
  out_ = outer;
  return text;
}

void Interpreter::assign(const Expression& target, const Value& value, Scope& scope) {
  line_ = target.line;
  switch (target.kind) {
    case Expression::Kind::name:
      return scope.set(target.id, value);
    case Expression::Kind::attribute: {
      const Value object = name(target.parts[0]->id, scope);
      if (object.is_undefined()) fail_undefined(object);
      if (!object.is(Kind::space)) throw Failure("cannot assign attribute on non-namespace object");
      if (target.text[0] == '_')
        throw Failure("namespaces have no attributes that start with '_': '" + target.text + "'");
      auto& items = object.as<Space>().items;
      budget_.build(sizeof(Value));
      for (auto& [known, old] : items) {
        if (known == target.text) {
          old = value;
          return;
        }
      }
      items.emplace_back(target.text, value);
      return;
    }
    default: {
      const std::vector<Value> values = collect(value, budget_);
      if (values.size() != target.parts.size()) {
        throw Failure((values.size() > target.parts.size() ? "too many values to unpack (expected "
                                                           : "not enough values to unpack (expected ") +
                      std::to_string(target.parts.size()) + ", got " + std::to_string(values.size()) + ")");
      }
      for (std::size_t i = 0; i < values.size(); ++i) assign(*target.parts[i], values[i], scope);
    }
  }
}

// -- loops

void Interpreter::loop(const Statement& node, const std::shared_ptr<Scope>& scope, const Value& items, int depth,
                       bool& empty) {
  auto state = std::make_shared<Loop>();
  if (node.recursive) {
    state->statement = &node;
    state->scope = scope;
    keep(scope);
  }
  deepen(*state, items);
  state->next = iterate(items, budget_);
  state->depth0 = depth;
  if (node.test) {
    state->next = filtered(node, scope, std::move(state->next));
  } else if (has_length(items)) {
    state->known_length = length(items);
  }
  const Value variable = Value::of(Kind::special, state);
  std::shared_ptr<Scope> inner;
  for (Value item; state->advance(item);) {
    empty = false;
    if (inner && inner.use_count() == 1) {
      inner->variables.clear();
      for (const NameId id : node.unset) inner->variables.emplace_back(id, Value::missing());
    } else {
      inner = enter(scope, node.unset);
    }
    inner->set(name_loop, variable);
    assign(*node.target, item, *inner);
    if (execute(node.body, inner) == Flow::leave) break;
    line_ = node.line;
  }
}

Next Interpreter::filtered(const Statement& node, const std::shared_ptr<Scope>& scope, Next items) {
  return [this, &node, scope, items = std::move(items)](Value& item) {
    while (items(item)) {
      const auto inner = enter(scope, {});
      assign(*node.target, item, *inner);
      if (evaluate(*node.test, inner).truth()) return true;
    }
    return false;
  };
}

Value Interpreter::call_loop(const Statement& node, const std::shared_ptr<Scope>& scope, const Value& items,
                             int depth) {
  if (static_cast<std::size_t>(depth) >= budget_.limits().depth) throw Failure("the loop calls itself too deeply");
  std::string text;
  std::string* const outer = std::exchange(out_, &text);
  try {
    bool empty = true;
    loop(node, scope, items, depth, empty);
    if (empty) execute(node.otherwise, enter(scope, node.unset_otherwise));
  } catch (...) {
    out_ = outer;
    throw;
  }
  out_ = outer;
  return text;
}

// -- macros

void Interpreter::call_block(const Statement& node, const std::shared_ptr<Scope>& scope) {
  auto macro = std::make_shared<Macro>();
  macro->definition = node.macro;
  macro->scope = scope;
  keep(scope);
  const Value caller = Value::of(Kind::special, std::move(macro));
  print(to_text(call_expression(*node.expression, scope, &caller), budget_));
}

Value Interpreter::call_macro(const MacroDefinition& macro, const std::shared_ptr<Scope>& scope,
                              const Arguments& given) {
  budget_.check_stack();
  if (macro_depth_ >= budget_.limits().depth) {
    throw Failure("macros call each other more than " + std::to_string(budget_.limits().depth) + " deep");
  }
  const auto inner = enter(scope, macro.unset);
  std::string text;
  std::string* const outer = std::exchange(out_, &text);
  ++macro_depth_;
  const int line = line_;
  try {
    bind_macro(macro, inner, given);
    execute(macro.body, inner);
  } catch (...) {
    --macro_depth_;
    out_ = outer;
    throw;
  }
  line_ = line;
  --macro_depth_;
  out_ = outer;
  return text;
}

void Interpreter::bind_macro(const MacroDefinition& macro, const std::shared_ptr<Scope>& scope,
                             const Arguments& given) {
  const std::size_t count = macro.parameters.size();
  const std::string called = macro.name.empty() ? "caller" : "macro '" + macro.name + "'";
  auto named = given.named;
  const auto take = [&named](const std::string& name) {
    for (auto at = named.begin(); at != named.end(); ++at) {
      if (at->first != name) continue;
      Value value = std::move(at->second);
      named.erase(at);
      return value;
    }
    return Value::missing();
  };
  std::vector<Value> values(given.positional.begin(), given.positional.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                                                     count, given.positional.size())));
  for (std::size_t i = values.size(); i < count; ++i) values.push_back(take(macro.parameter_names[i]));
  // First all, then the defaults: a default can read the parameters before it.
  for (std::size_t i = 0; i < count; ++i) scope->set(macro.parameters[i], values[i]);
  if (macro.uses_caller && !macro.has_caller_parameter) {
    Value caller = take("caller");
    if (caller.is_missing() || caller.is_none()) caller = Value::undefined("No caller defined");
    scope->set(name_caller, std::move(caller));
  }
  if (macro.uses_kwargs) {
    auto dict = std::make_shared<Dict>();
    for (auto& [name, value] : named) dict->set(name, value, budget_);
    scope->set(name_kwargs, Value::of(Kind::dict, std::move(dict)));
  } else if (!named.empty()) {
    throw Failure(called + " takes no keyword argument '" + named.front().first + "'");
  }
  if (macro.uses_varargs) {
    std::vector<Value> rest;
    if (given.positional.size() > count) {
      rest.assign(given.positional.begin() + static_cast<std::ptrdiff_t>(count), given.positional.end());
    }
    scope->set(name_varargs, Value::tuple(std::move(rest), budget_));
  } else if (given.positional.size() > count) {
    throw Failure(called + " takes not more than " + std::to_string(count) + " argument(s)");
  }
  const std::size_t first_default = count - macro.defaults.size();
  for (std::size_t i = 0; i < count; ++i) {
    if (!values[i].is_missing()) continue;
    if (i >= first_default) {
      scope->set(macro.parameters[i], evaluate(*macro.defaults[i - first_default], scope));
    } else {
      scope->set(macro.parameters[i],
                 Value::undefined("parameter '" + macro.parameter_names[i] + "' was not provided"));
    }
  }
}

Value Interpreter::make_namespace(const Arguments& given) {
  auto space = std::make_shared<Space>();
  const Value dict = call(global("dict"), given);
  for (const auto& [key, value] : dict.as<Dict>().items) {
    if (!key.is_string()) throw Failure("a namespace needs names, not '" + std::string(key.type_name()) + "'");
    if (!key.text().empty() && key.text()[0] == '_') {
      throw Failure("namespaces have no attributes that start with '_': '" + key.text() + "'");
    }
    space->items.emplace_back(key.text(), value);
  }
  budget_.build(sizeof(Space));
  spaces_.push_back(space);
  return Value::of(Kind::space, std::move(space));
}

}  // namespace grpo::text::jinja
