#include "parser_state.hpp"

namespace grpo::text::jinja {
namespace {

constexpr int max_height = 500;

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::data:
      return "template text";
    case TokenKind::variable_begin:
      return "'{{'";
    case TokenKind::variable_end:
      return "'}}'";
    case TokenKind::block_begin:
      return "'{%'";
    case TokenKind::block_end:
      return "'%}'";
    case TokenKind::string:
      return "a string";
    case TokenKind::end:
      return "the end of the template";
    default:
      return "'" + token.text + "'";
  }
}

}  // namespace

Parser::Parser(const std::string& source, const std::string& name) : name_(name), tokens_(tokenize(source, name)) {
  for (const char* known : {"loop", "caller", "varargs", "kwargs"}) intern(known);
}

const Token& Parser::look(std::size_t ahead) const {
  return tokens_[position_ + ahead < tokens_.size() ? position_ + ahead : tokens_.size() - 1];
}

const Token& Parser::advance() {
  const Token& token = tokens_[position_];
  if (position_ + 1 < tokens_.size()) ++position_;
  return token;
}

bool Parser::skip_sign(std::string_view sign) {
  if (!at_sign(sign)) return false;
  advance();
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!at_name(name)) return false;
  advance();
  return true;
}

void Parser::expect_sign(std::string_view sign) {
  if (!skip_sign(sign)) fail("expected '" + std::string(sign) + "', got " + describe(current()));
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) fail("expected '" + std::string(name) + "', got " + describe(current()));
}

std::string Parser::expect_any_name() {
  if (current().kind != TokenKind::name) fail("expected a name, got " + describe(current()));
  return advance().text;
}

void Parser::expect_kind(TokenKind kind) {
  if (current().kind != kind) fail("expected " + describe({kind, 0, ""}) + ", got " + describe(current()));
  advance();
}

void Parser::fail(const std::string& what, int line) const {
  std::string hint;
  if (!open_tags_.empty()) hint = " (the innermost open block is '" + open_tags_.back() + "')";
  fail_syntax(name_, line > 0 ? line : current().line, what + hint);
}

NameId Parser::intern(const std::string& name) {
  const auto [at, is_new] = ids_.emplace(name, static_cast<NameId>(names_.size()));
  if (is_new) names_.push_back(name);
  return at->second;
}

void Parser::check_nesting() const {
  try {
    stack_.check_stack();
  } catch (const Failure&) {
    fail("nested too deeply");
  }
}

void Parser::raise_height(Expression& node) const {
  const auto raise = [&node](const ExpressionPointer& part) {
    if (part && part->height >= node.height) node.height = part->height + 1;
  };
  for (const auto& part : node.parts) raise(part);
  for (const auto& part : node.arguments.positional) raise(part);
  for (const auto& [name, part] : node.arguments.named) raise(part);
  raise(node.arguments.star);
  raise(node.arguments.double_star);
  if (node.height > max_height) fail("an expression of more than " + std::to_string(max_height) + " levels");
}

ExpressionPointer Parser::make(Expression::Kind kind, int line, std::vector<ExpressionPointer> parts) const {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->line = line;
  node->parts = std::move(parts);
  raise_height(*node);
  return node;
}

}  // namespace grpo::text::jinja
