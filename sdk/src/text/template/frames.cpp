#include "frames.hpp"

#include <map>
#include <set>

#include "filters.hpp"
#include "lexer.hpp"
#include "parser.hpp"

namespace grpo::text::jinja {
namespace {

enum class Load { from_outside, unset, parameter };

/// The names of one frame.
struct Frame {
  const Frame* parent = nullptr;
  std::map<NameId, Load> names;
  std::set<NameId> stored;

  bool knows(NameId id) const { return names.count(id) > 0 || (parent && parent->knows(id)); }
  void load(NameId id) {
    if (!knows(id)) names[id] = Load::from_outside;
  }
  void store(NameId id) {
    stored.insert(id);
    if (names.count(id) == 0) names[id] = parent && parent->knows(id) ? Load::from_outside : Load::unset;
  }
  void declare(NameId id) {
    stored.insert(id);
    names[id] = Load::parameter;
  }
  std::vector<NameId> unset() const {
    std::vector<NameId> ids;
    for (const auto& [id, load] : names) {
      if (load == Load::unset) ids.push_back(id);
    }
    return ids;
  }
};

template <class Visit>
void each_part(const Expression& node, const Visit& visit) {
  const auto one = [&visit](const ExpressionPointer& part) {
    if (part) visit(*part);
  };
  for (const auto& part : node.parts) one(part);
  for (const auto& part : node.arguments.positional) one(part);
  for (const auto& [name, part] : node.arguments.named) one(part);
  one(node.arguments.star);
  one(node.arguments.double_star);
}

// -- what a frame's own statements load and store

void load_names(const Expression& node, Frame& frame) {
  if (node.kind == Expression::Kind::name) frame.load(node.id);
  each_part(node, [&frame](const Expression& part) { load_names(part, frame); });
}

void store_names(const Expression& target, Frame& frame, bool as_parameter = false) {
  switch (target.kind) {
    case Expression::Kind::name:
      return as_parameter ? frame.declare(target.id) : frame.store(target.id);
    case Expression::Kind::attribute:  // ns.x = ...: reads ns
      return frame.load(target.parts[0]->id);
    default:
      for (const auto& part : target.parts) store_names(*part, frame, as_parameter);
  }
}

void analyze(const Body& body, Frame& frame);

void analyze_branch(const Statement& node, Frame& frame) {
  load_names(*node.expression, frame);
  Frame taken = frame, otherwise = frame;
  analyze(node.body, taken);
  analyze(node.otherwise, otherwise);
  std::set<NameId> stored_in_branch;
  for (const Frame* branch : {&taken, &otherwise}) {
    for (const NameId id : branch->stored) {
      if (frame.stored.count(id) == 0) stored_in_branch.insert(id);
    }
  }
  for (const Frame* branch : {&taken, &otherwise}) {
    for (const auto& [id, load] : branch->names) frame.names[id] = load;
    frame.stored.insert(branch->stored.begin(), branch->stored.end());
  }
  // only one branch runs: without it the name still means what it meant outside
  for (const NameId id : stored_in_branch) frame.names[id] = Load::from_outside;
}

void analyze(const Body& body, Frame& frame) {
  for (const auto& pointer : body) {
    const Statement& node = *pointer;
    switch (node.kind) {
      case Statement::Kind::print:
      case Statement::Kind::loop:
      case Statement::Kind::call:
      case Statement::Kind::filter:
        load_names(*node.expression, frame);
        break;
      case Statement::Kind::branch:
        analyze_branch(node, frame);
        break;
      case Statement::Kind::set:
        load_names(*node.expression, frame);
        store_names(*node.target, frame);
        break;
      case Statement::Kind::set_block:
        store_names(*node.target, frame);
        break;
      case Statement::Kind::macro:
        frame.store(node.id);
        break;
      case Statement::Kind::with:
        for (std::size_t i = 1; i < node.parts.size(); i += 2) load_names(*node.parts[i], frame);
        break;
      default:
        break;
    }
  }
}

// -- names inside a macro, also in loops and macros within

struct Uses {
  bool caller = false, varargs = false, kwargs = false;
};

void find_uses(const Expression* node, Uses& uses) {
  if (!node) return;
  if (node->kind == Expression::Kind::name) {
    uses.caller |= node->id == name_caller;
    uses.varargs |= node->id == name_varargs;
    uses.kwargs |= node->id == name_kwargs;
  }
  each_part(*node, [&uses](const Expression& part) { find_uses(&part, uses); });
}

void find_uses(const Body& body, Uses& uses) {
  for (const auto& node : body) {
    find_uses(node->expression.get(), uses);
    find_uses(node->test.get(), uses);
    for (const auto& part : node->parts) find_uses(part.get(), uses);
    find_uses(node->body, uses);
    find_uses(node->otherwise, uses);
    if (!node->macro) continue;
    for (const auto& value : node->macro->defaults) find_uses(value.get(), uses);
    find_uses(node->macro->body, uses);
  }
}

// -- the frames inside a frame

class Resolver {
 public:
  explicit Resolver(const std::string& name) : name_(name) {}

  /// The statements of `frame`, whose names are known. `soft`: inside of an if, where an unknown filter is only an
  /// error once it is reached.
  void resolve(Body& body, const Frame& frame, bool soft) {
    for (const auto& node : body) resolve(*node, frame, soft);
  }

 private:
  void resolve(Statement& node, const Frame& frame, bool soft) {
    switch (node.kind) {
      case Statement::Kind::branch:
        check(node.expression.get(), true);
        resolve(node.body, frame, true);
        resolve(node.otherwise, frame, true);
        return;
      case Statement::Kind::loop:
        return resolve_loop(node, frame, soft);
      case Statement::Kind::macro:
      case Statement::Kind::call:
        check(node.expression.get(), soft);
        return resolve_macro(*node.macro, frame);
      case Statement::Kind::with: {
        Frame inner{&frame, {}, {}};
        for (std::size_t i = 0; i < node.parts.size(); i += 2) store_names(*node.parts[i], inner, true);
        for (std::size_t i = 1; i < node.parts.size(); i += 2) check(node.parts[i].get(), soft);
        node.unset = resolve_body(node.body, inner);
        return;
      }
      case Statement::Kind::filter:
      case Statement::Kind::set_block:
      case Statement::Kind::scope: {
        check(node.expression.get(), soft);
        Frame inner{&frame, {}, {}};
        node.unset = resolve_body(node.body, inner);
        return;
      }
      default:
        check(node.expression.get(), soft);
    }
  }

  std::vector<NameId> resolve_body(Body& body, Frame& inner) {
    analyze(body, inner);
    resolve(body, inner, false);
    return inner.unset();
  }

  void resolve_loop(Statement& node, const Frame& frame, bool soft) {
    check(node.expression.get(), soft);
    check(node.test.get(), false);
    Frame inner{&frame, {}, {}};
    inner.declare(name_loop);
    store_names(*node.target, inner, true);
    node.unset = resolve_body(node.body, inner);
    Frame otherwise{&frame, {}, {}};
    node.unset_otherwise = resolve_body(node.otherwise, otherwise);
  }

  void resolve_macro(MacroDefinition& macro, const Frame& frame) {
    Uses uses;
    find_uses(macro.body, uses);
    Frame inner{&frame, {}, {}};
    for (const NameId id : macro.parameters) {
      inner.declare(id);
      if (id == name_caller) macro.has_caller_parameter = true;
      if (id == name_varargs) uses.varargs = false;
      if (id == name_kwargs) uses.kwargs = false;
    }
    macro.uses_caller = uses.caller;
    macro.uses_varargs = uses.varargs;
    macro.uses_kwargs = uses.kwargs;
    if (uses.caller) inner.declare(name_caller);
    if (uses.varargs) inner.declare(name_varargs);
    if (uses.kwargs) inner.declare(name_kwargs);
    for (const auto& value : macro.defaults) {
      load_names(*value, inner);
      check(value.get(), false);
    }
    macro.unset = resolve_body(macro.body, inner);
  }

  /// Filters and tests must exist.
  void check(const Expression* node, bool soft) const {
    if (!node) return;
    if (node->kind == Expression::Kind::conditional) soft = true;
    if (!soft && node->kind == Expression::Kind::filter && !has_filter(node->text)) {
      fail_syntax(name_, node->line, "no filter named '" + node->text + "'");
    }
    if (!soft && node->kind == Expression::Kind::test && !has_test(node->text)) {
      fail_syntax(name_, node->line, "no test named '" + node->text + "'");
    }
    each_part(*node, [this, soft](const Expression& part) { check(&part, soft); });
  }

  const std::string& name_;
};

}  // namespace

void resolve_frames(Ast& ast, const std::string& name) {
  Frame root;
  analyze(ast.body, root);
  Resolver(name).resolve(ast.body, root, false);
  ast.unset = root.unset();
}

}  // namespace grpo::text::jinja
