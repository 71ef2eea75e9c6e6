// ast.hpp: a parsed template. Written by the parser, read by the interpreter, never changed after.
#ifndef GRPO_TEXT_TEMPLATE_AST_HPP
#define GRPO_TEXT_TEMPLATE_AST_HPP

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "operations.hpp"
#include "value.hpp"

namespace grpo::text::jinja {

struct Expression;
struct Statement;
using ExpressionPointer = std::unique_ptr<Expression>;
using Body = std::vector<std::unique_ptr<Statement>>;

/// Names are numbers in a template; see Ast::names.
using NameId = int;

struct CallArguments {
  std::vector<ExpressionPointer> positional;
  std::vector<std::pair<std::string, ExpressionPointer>> named;
  ExpressionPointer star, double_star;  // *args, **kwargs
};

enum class Comparison : std::uint8_t { equal, not_equal, less, less_equal, greater, greater_equal, in, not_in };

struct Expression {
  enum class Kind : std::uint8_t {
    constant,     // value
    name,         // id
    list,         // parts
    tuple,        // parts
    dict,         // parts: key, value, key, value, ...
    conditional,  // parts: test, then[, else]
    logical_or,   // parts: left, right
    logical_and,
    logical_not,
    comparison,  // parts: first, operand, ...; comparisons: one fewer
    binary,      // parts: left, right; op
    negative,
    positive,
    concat,     // parts
    attribute,  // parts: object; text
    item,       // parts: object, index
    slice,      // parts: object, start, stop, step (null where left out)
    call,       // parts: callee; arguments
    filter,     // parts: input (null in a filter block); text; arguments
    test,       // parts: input; text; arguments
  };
  Kind kind;
  int line = 0;
  int height = 1;  // of the tree: bounded, since functions recurse over it
  Operator op = Operator::add;
  NameId id = -1;
  std::string text;
  Value value;
  std::vector<ExpressionPointer> parts;
  std::vector<Comparison> comparisons;
  CallArguments arguments;
};

/// What a macro or call block takes, and what it has inside.
struct MacroDefinition {
  std::string name;  // empty for a call block
  std::vector<NameId> parameters;
  std::vector<std::string> parameter_names;
  std::vector<ExpressionPointer> defaults;  // of the last parameters
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false;
  bool has_caller_parameter = false;
  Body body;
  std::vector<NameId> unset;  // see Statement::unset
};

struct Statement {
  enum class Kind : std::uint8_t {
    text,       // text
    print,      // expression
    branch,     // if: expression, body, otherwise
    loop,       // for: target, expression, test, body, otherwise, recursive
    set,        // target, expression
    set_block,  // target, expression (filters over the body, or null), body
    macro,      // id, macro
    call,       // expression (the call), macro
    filter,     // expression (the filters), body
    with,       // targets and values alternate in parts; body
    scope,      // body alone: generation
    leave,      // break
    next,       // continue
  };
  Kind kind;
  int line = 0;
  NameId id = -1;
  bool recursive = false;
  std::string text;
  ExpressionPointer target, expression, test;
  std::vector<ExpressionPointer> parts;
  std::shared_ptr<MacroDefinition> macro;
  Body body, otherwise;
  /// Names that Jinja's compiler makes variables of this frame because the frame sets them before it reads them: until
  /// then they are undefined, whatever an outer frame says. `unset_otherwise` is for the else part of a loop.
  std::vector<NameId> unset, unset_otherwise;
};

struct Ast {
  Body body;
  std::vector<std::string> names;
  std::vector<NameId> unset;
};

}  // namespace grpo::text::jinja

#endif
