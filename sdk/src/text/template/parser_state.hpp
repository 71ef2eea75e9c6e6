// parser_state.hpp: what the two halves of the parser, expressions and statements, share.
#ifndef GRPO_TEXT_TEMPLATE_PARSER_STATE_HPP
#define GRPO_TEXT_TEMPLATE_PARSER_STATE_HPP

#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ast.hpp"
#include "lexer.hpp"
#include "parser.hpp"

namespace grpo::text::jinja {

class Parser {
 public:
  Parser(const std::string& source, const std::string& name);
  Ast run();

 private:
  // parser_state.cpp: tokens
  const Token& current() const { return tokens_[position_]; }
  const Token& look(std::size_t ahead = 1) const;
  const Token& advance();
  bool at_sign(std::string_view sign) const { return current().kind == TokenKind::sign && current().text == sign; }
  bool at_name(std::string_view name) const { return current().kind == TokenKind::name && current().text == name; }
  bool skip_sign(std::string_view sign);
  bool skip_name(std::string_view name);
  void expect_sign(std::string_view sign);
  void expect_name(std::string_view name);
  std::string expect_any_name();
  void expect_kind(TokenKind kind);
  [[noreturn]] void fail(const std::string& what, int line = 0) const;
  NameId intern(const std::string& name);
  ExpressionPointer make(Expression::Kind kind, int line, std::vector<ExpressionPointer> parts = {}) const;
  void check_nesting() const;

  // parser_expressions.cpp
  ExpressionPointer expression(bool with_condition = true);
  ExpressionPointer condition();
  ExpressionPointer logical_or();
  ExpressionPointer logical_and();
  ExpressionPointer logical_not();
  ExpressionPointer comparison();
  ExpressionPointer sum();
  ExpressionPointer concat();
  ExpressionPointer product();
  ExpressionPointer power();
  ExpressionPointer unary(bool with_filter = true);
  ExpressionPointer primary();
  ExpressionPointer number();
  ExpressionPointer list_display();
  ExpressionPointer dict_display();
  ExpressionPointer postfix(ExpressionPointer node);
  ExpressionPointer filters_and_tests(ExpressionPointer node);
  ExpressionPointer subscript(ExpressionPointer node);
  ExpressionPointer subscribed(ExpressionPointer node);
  ExpressionPointer call(ExpressionPointer node);
  ExpressionPointer filter(ExpressionPointer node, bool first_without_pipe = false);
  ExpressionPointer test(ExpressionPointer node);
  CallArguments call_arguments();
  void raise_height(Expression& node) const;
  /// One expression, or several with commas: a tuple. Ends before `end` (a name), if given.
  ExpressionPointer tuple(bool with_condition, std::string_view end = {}, bool in_parentheses = false);
  ExpressionPointer target(std::string_view end = {}, bool with_attribute = false);
  ExpressionPointer single_target(bool with_attribute);

  // parser_statements.cpp
  Body statements(std::initializer_list<std::string_view> ends);
  /// From after the opening tag's last part to the tag that ends it, whose name is not yet read.
  Body block(std::initializer_list<std::string_view> ends);
  std::unique_ptr<Statement> statement();
  std::unique_ptr<Statement> if_statement();
  std::unique_ptr<Statement> for_statement();
  std::unique_ptr<Statement> set_statement();
  std::unique_ptr<Statement> macro_statement();
  std::unique_ptr<Statement> call_statement();
  std::unique_ptr<Statement> filter_statement();
  std::unique_ptr<Statement> with_statement();
  std::unique_ptr<Statement> generation_statement();
  std::unique_ptr<Statement> loop_control(Statement::Kind kind);
  void print_statement(Body& body);
  void signature(MacroDefinition& macro);
  std::unique_ptr<Statement> make_statement(Statement::Kind kind, int line) const;

  const std::string& name_;
  std::vector<Token> tokens_;
  std::size_t position_ = 0;
  std::vector<std::string> names_;
  std::unordered_map<std::string, NameId> ids_;
  std::vector<std::string> open_tags_;
  int loops_ = 0;  // loops around the place being parsed, within the innermost macro
  Budget stack_{TemplateLimits{}};
};

}  // namespace grpo::text::jinja

#endif
