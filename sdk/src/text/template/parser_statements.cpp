// parser_statements.cpp: tags and the text between them.
#include <algorithm>

#include "frames.hpp"
#include "parser_state.hpp"

namespace grpo::text::jinja {

std::unique_ptr<Statement> Parser::make_statement(Statement::Kind kind, int line) const {
  auto node = std::make_unique<Statement>();
  node->kind = kind;
  node->line = line;
  return node;
}

Ast Parser::run() {
  Ast ast;
  ast.body = statements({});
  ast.names = std::move(names_);
  resolve_frames(ast, name_);
  return ast;
}

Ast parse(const std::string& source, const std::string& name) { return Parser(source, name).run(); }

Body Parser::statements(std::initializer_list<std::string_view> ends) {
  check_nesting();
  Body body;
  while (true) {
    const Token& token = current();
    if (token.kind == TokenKind::end) {
      if (ends.size() == 0) return body;
      std::string wanted;
      for (const std::string_view end : ends) wanted += (wanted.empty() ? "'" : " or '") + std::string(end) + "'";
      fail("unexpected end of the template, expected the tag " + wanted);
    }
    if (token.kind == TokenKind::data) {
      auto node = make_statement(Statement::Kind::text, token.line);
      node->text = advance().text;
      body.push_back(std::move(node));
    } else if (token.kind == TokenKind::variable_begin) {
      advance();
      auto node = make_statement(Statement::Kind::print, token.line);
      node->expression = tuple(true);
      expect_kind(TokenKind::variable_end);
      body.push_back(std::move(node));
    } else {
      expect_kind(TokenKind::block_begin);
      if (std::any_of(ends.begin(), ends.end(), [this](std::string_view end) { return at_name(end); })) return body;
      if (at_name("print")) {
        print_statement(body);
      } else {
        body.push_back(statement());
      }
      expect_kind(TokenKind::block_end);
    }
  }
}

Body Parser::block(std::initializer_list<std::string_view> ends) {
  skip_sign(":");
  expect_kind(TokenKind::block_end);
  return statements(ends);
}

std::unique_ptr<Statement> Parser::statement() {
  if (current().kind != TokenKind::name) fail("expected the name of a tag");
  const std::string tag = current().text;
  open_tags_.push_back(tag);
  std::unique_ptr<Statement> node;
  if (tag == "if") {
    node = if_statement();
  } else if (tag == "for") {
    node = for_statement();
  } else if (tag == "set") {
    node = set_statement();
  } else if (tag == "macro") {
    node = macro_statement();
  } else if (tag == "call") {
    node = call_statement();
  } else if (tag == "filter") {
    node = filter_statement();
  } else if (tag == "with") {
    node = with_statement();
  } else if (tag == "generation") {
    node = generation_statement();
  } else if (tag == "break") {
    node = loop_control(Statement::Kind::leave);
  } else if (tag == "continue") {
    node = loop_control(Statement::Kind::next);
  } else {
    open_tags_.pop_back();
    for (const char* other : {"include", "import", "from", "extends", "block", "autoescape"}) {
      if (tag == other) fail("the tag '" + tag + "' is not supported: a chat template is one file of plain text");
    }
    fail("unknown tag '" + tag + "'");
  }
  open_tags_.pop_back();
  return node;
}

std::unique_ptr<Statement> Parser::if_statement() {
  auto node = make_statement(Statement::Kind::branch, advance().line);
  node->expression = tuple(false);
  node->body = block({"elif", "else", "endif"});
  // each elif is an if in the else part of the one before
  Statement* innermost = node.get();
  while (at_name("elif")) {
    auto inner = make_statement(Statement::Kind::branch, advance().line);
    inner->expression = tuple(false);
    inner->body = block({"elif", "else", "endif"});
    Statement* const next = inner.get();
    innermost->otherwise.push_back(std::move(inner));
    innermost = next;
  }
  if (skip_name("else")) innermost->otherwise = block({"endif"});
  expect_name("endif");
  return node;
}

std::unique_ptr<Statement> Parser::for_statement() {
  auto node = make_statement(Statement::Kind::loop, advance().line);
  node->target = target("in");
  expect_name("in");
  node->expression = tuple(false, "recursive");
  if (skip_name("if")) node->test = expression();
  node->recursive = skip_name("recursive");
  ++loops_;
  node->body = block({"endfor", "else"});
  --loops_;
  if (skip_name("else")) node->otherwise = block({"endfor"});
  expect_name("endfor");
  return node;
}

std::unique_ptr<Statement> Parser::set_statement() {
  const int line = advance().line;
  ExpressionPointer where = target({}, true);
  if (skip_sign("=")) {
    auto node = make_statement(Statement::Kind::set, line);
    node->target = std::move(where);
    node->expression = tuple(true);
    return node;
  }
  auto node = make_statement(Statement::Kind::set_block, line);
  node->target = std::move(where);
  node->expression = filter(nullptr);
  node->body = block({"endset"});
  expect_name("endset");
  return node;
}

void Parser::signature(MacroDefinition& macro) {
  expect_sign("(");
  while (!at_sign(")")) {
    if (!macro.parameters.empty()) expect_sign(",");
    const ExpressionPointer parameter = single_target(false);
    if (parameter->kind != Expression::Kind::name) fail("expected the name of a parameter");
    macro.parameters.push_back(parameter->id);
    macro.parameter_names.push_back(names_[static_cast<std::size_t>(parameter->id)]);
    if (skip_sign("=")) {
      macro.defaults.push_back(expression());
    } else if (!macro.defaults.empty()) {
      fail("a parameter without a default follows one that has one");
    }
  }
  expect_sign(")");
}

std::unique_ptr<Statement> Parser::macro_statement() {
  auto node = make_statement(Statement::Kind::macro, advance().line);
  node->macro = std::make_shared<MacroDefinition>();
  const ExpressionPointer name = single_target(false);
  if (name->kind != Expression::Kind::name) fail("expected the name of the macro");
  node->id = name->id;
  node->macro->name = names_[static_cast<std::size_t>(node->id)];
  signature(*node->macro);
  const int loops = std::exchange(loops_, 0);
  node->macro->body = block({"endmacro"});
  loops_ = loops;
  expect_name("endmacro");
  return node;
}

std::unique_ptr<Statement> Parser::call_statement() {
  auto node = make_statement(Statement::Kind::call, advance().line);
  node->macro = std::make_shared<MacroDefinition>();
  if (at_sign("(")) signature(*node->macro);
  node->expression = expression();
  if (node->expression->kind != Expression::Kind::call) fail("expected a call of a macro", node->line);
  const int loops = std::exchange(loops_, 0);
  node->macro->body = block({"endcall"});
  loops_ = loops;
  expect_name("endcall");
  return node;
}

std::unique_ptr<Statement> Parser::generation_statement() {
  auto node = make_statement(Statement::Kind::scope, advance().line);
  const int loops = std::exchange(loops_, 0);
  node->body = block({"endgeneration"});
  loops_ = loops;
  expect_name("endgeneration");
  return node;
}

std::unique_ptr<Statement> Parser::filter_statement() {
  auto node = make_statement(Statement::Kind::filter, advance().line);
  node->expression = filter(nullptr, true);
  node->body = block({"endfilter"});
  expect_name("endfilter");
  return node;
}

std::unique_ptr<Statement> Parser::with_statement() {
  auto node = make_statement(Statement::Kind::with, advance().line);
  while (current().kind != TokenKind::block_end) {
    if (!node->parts.empty()) expect_sign(",");
    node->parts.push_back(target());
    expect_sign("=");
    node->parts.push_back(expression());
  }
  node->body = block({"endwith"});
  expect_name("endwith");
  return node;
}

std::unique_ptr<Statement> Parser::loop_control(Statement::Kind kind) {
  const Token& tag = advance();
  if (loops_ == 0) fail("'" + tag.text + "' outside of a loop", tag.line);
  return make_statement(kind, tag.line);
}

void Parser::print_statement(Body& body) {
  const int line = advance().line;
  bool first = true;
  while (current().kind != TokenKind::block_end) {
    if (!first) expect_sign(",");
    first = false;
    auto node = make_statement(Statement::Kind::print, line);
    node->expression = expression();
    body.push_back(std::move(node));
  }
}

}  // namespace grpo::text::jinja
