// specials.hpp: the values that have behaviour: functions, macros, loops.
#ifndef GRPO_TEXT_TEMPLATE_SPECIALS_HPP
#define GRPO_TEXT_TEMPLATE_SPECIALS_HPP

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ast.hpp"
#include "value.hpp"

namespace grpo::text::jinja {

struct Scope;

/// A function of the environment, or a method with its object.
struct Function : Special {
  using Body = std::function<Value(Interpreter&, const Arguments&)>;
  std::string name;
  Body body;
  const char* type_name = "function";

  const char* type() const override { return type_name; }
  std::string print(Budget&) const override { return "<" + std::string(type_name) + " " + name + ">"; }
  bool callable() const override { return true; }
  Value call(Interpreter& interpreter, const Arguments& arguments) override { return body(interpreter, arguments); }
};
/// `holds`: what the body keeps alive.
Value make_function(std::string name, Function::Body body, const Value& holds = {}, const char* type_name = "function");

struct Macro : Special {
  std::shared_ptr<MacroDefinition> definition;
  std::shared_ptr<Scope> scope;  // where it was defined

  const char* type() const override { return "Macro"; }
  std::string print(Budget& budget) const override;
  Value attribute(Interpreter& interpreter, const std::string& name) override;
  bool callable() const override { return true; }
  Value call(Interpreter& interpreter, const Arguments& arguments) override;
};

/// The variable `loop`.
struct Loop : Special {
  const Statement* statement = nullptr;
  std::shared_ptr<Scope> scope;  // of recursive loops: around the loop, where a recursive call runs
  Next next;
  std::int64_t known_length = -1;
  std::int64_t index0 = -1;
  int depth0 = 0;
  Value current = Value::missing(), previous = Value::missing();
  std::vector<Value> ahead;  // read but not yet given out, last first
  Value changed_value = Value::missing();

  /// Moves on; false at the end.
  bool advance(Value& item);
  bool peek(Value& item);

  const char* type() const override { return "LoopContext"; }
  std::string print(Budget& budget) const override;
  Value attribute(Interpreter& interpreter, const std::string& name) override;
  bool callable() const override { return true; }
  Value call(Interpreter& interpreter, const Arguments& arguments) override;
  std::int64_t length() override;
};

/// A method of a string, dict or list; missing() where there is none. Methods that change their object are undefined
/// with an explanation: the sandbox refuses them.
Value method(const Value& object, const std::string& name);
/// range, dict, namespace, raise_exception, ...: missing() where there is none of that name.
Value global(const std::string& name);

}  // namespace grpo::text::jinja

#endif
