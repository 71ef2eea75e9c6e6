// interpreter.hpp: one rendering of one template.
#ifndef GRPO_TEXT_TEMPLATE_INTERPRETER_HPP
#define GRPO_TEXT_TEMPLATE_INTERPRETER_HPP

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "ast.hpp"
#include "budget.hpp"
#include "grpo/sdk/text/template.hpp"
#include "value.hpp"

namespace grpo::text::jinja {

/// The variables of one frame. Looking a name up goes outwards; Value::missing() ends it: undefined.
struct Scope {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<NameId, Value>> variables;

  const Value* find(NameId id) const;
  void set(NameId id, Value value);
};

struct Loop;

class Interpreter {
 public:
  Interpreter(const Ast& ast, const nlohmann::ordered_json& variables, const TemplateLimits& limits);
  Interpreter(const Interpreter&) = delete;
  ~Interpreter();

  std::string run();
  /// What the blocks `generation` of the template itself printed.
  const std::vector<TextSpan>& generated() const { return generated_; }

  /// Of the last thing that was begun: where an error belongs.
  int line() const { return line_; }
  Budget& budget() { return budget_; }

  // For filters, tests and functions:
  /// object.name, as the sandbox allows it.
  Value attribute(const Value& object, const std::string& name);
  /// object[index]
  Value item(const Value& object, const Value& index);
  Value call(const Value& callee, const Arguments& arguments);
  Value call_macro(const MacroDefinition& macro, const std::shared_ptr<Scope>& scope, const Arguments& arguments);
  /// loop(items) within a recursive loop.
  Value call_loop(const Statement& loop, const std::shared_ptr<Scope>& scope, const Value& items, int depth);
  Value make_namespace(const Arguments& arguments);
  /// Keeps a loop that remembers values until the end, where it forgets them.
  void keep(const std::shared_ptr<Loop>& loop);

 private:
  enum class Flow : std::uint8_t { on, leave, next };

  // statements.cpp
  Flow execute(const Body& body, const std::shared_ptr<Scope>& scope);
  Flow execute(const Statement& node, const std::shared_ptr<Scope>& scope);
  void loop(const Statement& node, const std::shared_ptr<Scope>& scope, const Value& items, int depth, bool& empty);
  Next filtered(const Statement& node, const std::shared_ptr<Scope>& scope, Next items);
  void call_block(const Statement& node, const std::shared_ptr<Scope>& scope);
  /// Runs `body` in a frame of its own and returns what it printed.
  std::string capture(const Body& body, const std::shared_ptr<Scope>& scope, const std::vector<NameId>& unset,
                      Flow& flow);
  void assign(const Expression& target, const Value& value, Scope& scope);
  void print(std::string_view text);
  std::shared_ptr<Scope> enter(const std::shared_ptr<Scope>& parent, const std::vector<NameId>& unset);
  void keep(const std::shared_ptr<Scope>& scope);
  void bind_macro(const MacroDefinition& macro, const std::shared_ptr<Scope>& scope, const Arguments& given);

  // expressions.cpp
  Value evaluate(const Expression& node, const std::shared_ptr<Scope>& scope);
  Value name(NameId id, const Scope& scope);
  Value compare(const Expression& node, const std::shared_ptr<Scope>& scope);
  Value concat(const Expression& node, const std::shared_ptr<Scope>& scope);
  Value dict(const Expression& node, const std::shared_ptr<Scope>& scope);
  Value call_expression(const Expression& node, const std::shared_ptr<Scope>& scope, const Value* caller = nullptr);
  Value filter(const Expression& node, const std::shared_ptr<Scope>& scope, const Value* input = nullptr);
  Value test(const Expression& node, const std::shared_ptr<Scope>& scope);
  std::vector<Value> evaluate_all(const std::vector<ExpressionPointer>& nodes, const std::shared_ptr<Scope>& scope);
  Arguments arguments(const CallArguments& nodes, const std::shared_ptr<Scope>& scope);

  const Ast& ast_;
  const nlohmann::ordered_json& variables_;
  Budget budget_;
  int line_ = 1;
  std::size_t macro_depth_ = 0;
  std::string *out_ = nullptr, *page_ = nullptr;  // where text goes now; the rendering itself
  std::vector<TextSpan> generated_;
  std::vector<Value> globals_;  // by name: variables given to render and functions, once asked for
  // Frames that macros hold, namespaces, loops that were asked for changes: all can be part of a ring of references,
  // which is cut at the end.
  std::vector<std::shared_ptr<Scope>> kept_scopes_;
  std::vector<std::shared_ptr<Space>> spaces_;
  std::vector<std::shared_ptr<Loop>> kept_loops_;
};

}  // namespace grpo::text::jinja

#endif
