// parser_expressions.cpp: from `or` down to names and literals, one function a level of precedence.
#include <charconv>
#include <cstdlib>

#include "parser_state.hpp"

namespace grpo::text::jinja {

using Kind_ = Expression::Kind;

namespace {

std::vector<ExpressionPointer> parts_of(ExpressionPointer first, ExpressionPointer second = nullptr) {
  std::vector<ExpressionPointer> parts;
  parts.push_back(std::move(first));
  if (second) parts.push_back(std::move(second));
  return parts;
}

}  // namespace

ExpressionPointer Parser::expression(bool with_condition) {
  check_nesting();
  return with_condition ? condition() : logical_or();
}

ExpressionPointer Parser::condition() {
  check_nesting();
  int line = current().line;
  ExpressionPointer value = logical_or();
  while (skip_name("if")) {
    auto parts = parts_of(logical_or(), std::move(value));
    if (skip_name("else")) parts.push_back(condition());
    value = make(Kind_::conditional, line, std::move(parts));
    line = current().line;
  }
  return value;
}

ExpressionPointer Parser::logical_or() {
  ExpressionPointer left = logical_and();
  while (at_name("or")) {
    const int line = advance().line;
    left = make(Kind_::logical_or, line, parts_of(std::move(left), logical_and()));
  }
  return left;
}

ExpressionPointer Parser::logical_and() {
  ExpressionPointer left = logical_not();
  while (at_name("and")) {
    const int line = advance().line;
    left = make(Kind_::logical_and, line, parts_of(std::move(left), logical_not()));
  }
  return left;
}

ExpressionPointer Parser::logical_not() {
  check_nesting();
  if (!at_name("not")) return comparison();
  const int line = advance().line;
  return make(Kind_::logical_not, line, parts_of(logical_not()));
}

ExpressionPointer Parser::comparison() {
  const int line = current().line;
  auto parts = parts_of(sum());
  std::vector<Comparison> comparisons;
  static constexpr std::pair<std::string_view, Comparison> signs[] = {
      {"==", Comparison::equal},      {"!=", Comparison::not_equal}, {"<", Comparison::less},
      {"<=", Comparison::less_equal}, {">", Comparison::greater},    {">=", Comparison::greater_equal}};
  while (true) {
    const std::size_t before = comparisons.size();
    for (const auto& [sign, comparison] : signs) {
      if (!skip_sign(sign)) continue;
      comparisons.push_back(comparison);
      break;
    }
    if (comparisons.size() == before && skip_name("in")) comparisons.push_back(Comparison::in);
    if (comparisons.size() == before && at_name("not") && look().kind == TokenKind::name && look().text == "in") {
      advance();
      advance();
      comparisons.push_back(Comparison::not_in);
    }
    if (comparisons.size() == before) break;
    parts.push_back(sum());
  }
  if (comparisons.empty()) return std::move(parts.front());
  auto node = make(Kind_::comparison, line, std::move(parts));
  node->comparisons = std::move(comparisons);
  return node;
}

ExpressionPointer Parser::sum() {
  ExpressionPointer left = concat();
  while (at_sign("+") || at_sign("-")) {
    const Token& sign = advance();
    const Operator op = sign.text == "+" ? Operator::add : Operator::subtract;
    left = make(Kind_::binary, sign.line, parts_of(std::move(left), concat()));
    left->op = op;
  }
  return left;
}

ExpressionPointer Parser::concat() {
  const int line = current().line;
  auto parts = parts_of(product());
  while (skip_sign("~")) parts.push_back(product());
  if (parts.size() == 1) return std::move(parts.front());
  return make(Kind_::concat, line, std::move(parts));
}

ExpressionPointer Parser::product() {
  static constexpr std::pair<std::string_view, Operator> signs[] = {
      {"*", Operator::multiply}, {"/", Operator::divide}, {"//", Operator::floor_divide}, {"%", Operator::modulo}};
  ExpressionPointer left = power();
  while (true) {
    const int line = current().line;
    bool found = false;
    for (const auto& [sign, op] : signs) {
      if (!skip_sign(sign)) continue;
      left = make(Kind_::binary, line, parts_of(std::move(left), power()));
      left->op = op;
      found = true;
      break;
    }
    if (!found) return left;
  }
}

// Binds to the left, as in Jinja, unlike Python.
ExpressionPointer Parser::power() {
  ExpressionPointer left = unary();
  while (at_sign("**")) {
    const int line = advance().line;
    left = make(Kind_::binary, line, parts_of(std::move(left), unary()));
    left->op = Operator::power;
  }
  return left;
}

ExpressionPointer Parser::unary(bool with_filter) {
  check_nesting();
  const int line = current().line;
  ExpressionPointer node;
  if (skip_sign("-")) {
    node = make(Kind_::negative, line, parts_of(unary(false)));
  } else if (skip_sign("+")) {
    node = make(Kind_::positive, line, parts_of(unary(false)));
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filter ? filters_and_tests(std::move(node)) : std::move(node);
}

ExpressionPointer Parser::primary() {
  const Token& token = current();
  switch (token.kind) {
    case TokenKind::name: {
      const std::string& name = advance().text;
      auto node = make(Kind_::constant, token.line);
      if (name == "true" || name == "True") {
        node->value = true;
      } else if (name == "false" || name == "False") {
        node->value = false;
      } else if (name == "none" || name == "None") {
        node->value = Value::none();
      } else {
        node->kind = Kind_::name;
        node->id = intern(name);
      }
      return node;
    }
    case TokenKind::string: {
      std::string text;
      while (current().kind == TokenKind::string) text += advance().text;
      auto node = make(Kind_::constant, token.line);
      node->value = std::move(text);
      return node;
    }
    case TokenKind::integer:
    case TokenKind::real:
      return number();
    default:
      break;
  }
  if (skip_sign("(")) {
    ExpressionPointer node = tuple(true, {}, true);
    expect_sign(")");
    return node;
  }
  if (at_sign("[")) return list_display();
  if (at_sign("{")) return dict_display();
  if (token.kind == TokenKind::sign) fail("unexpected '" + token.text + "'");
  fail(token.kind == TokenKind::end ? "unexpected end of the template" : "expected an expression");
}

ExpressionPointer Parser::number() {
  const Token& token = advance();
  auto node = make(Kind_::constant, token.line);
  if (token.kind == TokenKind::real) {
    node->value = std::strtod(token.text.c_str(), nullptr);
    return node;
  }
  std::string_view digits = token.text;
  int base = 10;
  if (digits.size() > 2 && digits[0] == '0' && (digits[1] | 0x20) >= 'b') {
    const char letter = static_cast<char>(digits[1] | 0x20);
    base = letter == 'x' ? 16 : letter == 'o' ? 8 : 2;
    digits.remove_prefix(2);
  }
  std::int64_t value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (result.ec != std::errc{}) fail("the integer " + token.text + " does not fit 64 bits", token.line);
  node->value = value;
  return node;
}

ExpressionPointer Parser::list_display() {
  const int line = advance().line;
  std::vector<ExpressionPointer> parts;
  while (!at_sign("]")) {
    if (!parts.empty()) expect_sign(",");
    if (at_sign("]")) break;
    parts.push_back(expression());
  }
  expect_sign("]");
  return make(Kind_::list, line, std::move(parts));
}

ExpressionPointer Parser::dict_display() {
  const int line = advance().line;
  std::vector<ExpressionPointer> parts;
  while (!at_sign("}")) {
    if (!parts.empty()) expect_sign(",");
    if (at_sign("}")) break;
    parts.push_back(expression());
    expect_sign(":");
    parts.push_back(expression());
  }
  expect_sign("}");
  return make(Kind_::dict, line, std::move(parts));
}

ExpressionPointer Parser::postfix(ExpressionPointer node) {
  while (true) {
    if (at_sign(".") || at_sign("[")) {
      node = subscript(std::move(node));
    } else if (at_sign("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPointer Parser::filters_and_tests(ExpressionPointer node) {
  while (true) {
    if (at_sign("|")) {
      node = filter(std::move(node));
    } else if (at_name("is")) {
      node = test(std::move(node));
    } else if (at_sign("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPointer Parser::subscript(ExpressionPointer node) {
  const Token& sign = advance();
  if (sign.text == ".") {
    if (current().kind == TokenKind::name) {
      auto result = make(Kind_::attribute, sign.line, parts_of(std::move(node)));
      result->text = advance().text;
      return result;
    }
    if (current().kind != TokenKind::integer) fail("expected a name or a number after '.'");
    return make(Kind_::item, sign.line, parts_of(std::move(node), number()));
  }
  ExpressionPointer result = subscribed(std::move(node));
  if (at_sign(",")) {
    // x[a, b]: an item with a tuple for its index
    std::vector<ExpressionPointer> indices;
    if (result->kind == Kind_::slice) fail("a slice among several indices is not supported");
    indices.push_back(std::move(result->parts[1]));
    while (skip_sign(",")) indices.push_back(expression());
    result->parts[1] = make(Kind_::tuple, sign.line, std::move(indices));
    raise_height(*result);
  }
  expect_sign("]");
  return result;
}

ExpressionPointer Parser::subscribed(ExpressionPointer node) {
  const int line = current().line;
  if (at_sign("]")) return make(Kind_::item, line, parts_of(std::move(node), make(Kind_::tuple, line)));
  ExpressionPointer start;
  if (!at_sign(":")) {
    start = expression();
    if (!at_sign(":")) return make(Kind_::item, line, parts_of(std::move(node), std::move(start)));
  }
  std::vector<ExpressionPointer> parts = parts_of(std::move(node));
  parts.push_back(std::move(start));
  for (int i = 0; i < 2; ++i) {
    ExpressionPointer part;
    if (skip_sign(":") && !at_sign(":") && !at_sign("]") && !at_sign(",")) part = expression();
    parts.push_back(std::move(part));
  }
  return make(Kind_::slice, line, std::move(parts));
}

ExpressionPointer Parser::call(ExpressionPointer node) {
  const int line = current().line;
  CallArguments arguments = call_arguments();
  auto result = make(Kind_::call, line, parts_of(std::move(node)));
  result->arguments = std::move(arguments);
  raise_height(*result);
  return result;
}

CallArguments Parser::call_arguments() {
  expect_sign("(");
  CallArguments arguments;
  bool first = true;
  const auto ensure = [this](bool right) {
    if (!right) fail("arguments in this order are no call: positional, named, *list, **dict");
  };
  while (!at_sign(")")) {
    if (!first) expect_sign(",");
    first = false;
    if (at_sign(")")) break;
    if (skip_sign("*")) {
      ensure(!arguments.star && !arguments.double_star);
      arguments.star = expression();
    } else if (skip_sign("**")) {
      ensure(!arguments.double_star);
      arguments.double_star = expression();
    } else if (current().kind == TokenKind::name && look().kind == TokenKind::sign && look().text == "=") {
      ensure(!arguments.double_star);
      std::string name = advance().text;
      advance();
      for (const auto& [known, value] : arguments.named) {
        if (known == name) fail("the argument '" + name + "' is given twice");
      }
      arguments.named.emplace_back(std::move(name), expression());
    } else {
      ensure(!arguments.star && !arguments.double_star && arguments.named.empty());
      arguments.positional.push_back(expression());
    }
  }
  expect_sign(")");
  return arguments;
}

ExpressionPointer Parser::filter(ExpressionPointer node, bool first_without_pipe) {
  while (first_without_pipe || at_sign("|")) {
    if (!first_without_pipe) advance();
    first_without_pipe = false;
    const int line = current().line;
    std::string name = expect_any_name();
    while (skip_sign(".")) name += "." + expect_any_name();
    std::vector<ExpressionPointer> parts;
    parts.push_back(std::move(node));
    CallArguments arguments;
    if (at_sign("(")) arguments = call_arguments();
    node = make(Kind_::filter, line, std::move(parts));
    node->text = std::move(name);
    node->arguments = std::move(arguments);
    raise_height(*node);
  }
  return node;
}

ExpressionPointer Parser::test(ExpressionPointer node) {
  const int line = advance().line;
  const bool negated = skip_name("not");
  std::string name = expect_any_name();
  while (skip_sign(".")) name += "." + expect_any_name();
  CallArguments arguments;
  const Token& next = current();
  const bool starts_argument = next.kind == TokenKind::name || next.kind == TokenKind::string ||
                               next.kind == TokenKind::integer || next.kind == TokenKind::real || at_sign("[") ||
                               at_sign("{");
  if (at_sign("(")) {
    arguments = call_arguments();
  } else if (starts_argument && !at_name("else") && !at_name("or") && !at_name("and")) {
    if (at_name("is")) fail("tests with 'is' cannot be chained");
    arguments.positional.push_back(postfix(primary()));
  }
  auto result = make(Kind_::test, line, parts_of(std::move(node)));
  result->text = std::move(name);
  result->arguments = std::move(arguments);
  raise_height(*result);
  if (negated) result = make(Kind_::logical_not, line, parts_of(std::move(result)));
  return result;
}

ExpressionPointer Parser::tuple(bool with_condition, std::string_view end, bool in_parentheses) {
  const int line = current().line;
  const auto ends = [&] {
    return current().kind == TokenKind::variable_end || current().kind == TokenKind::block_end || at_sign(")") ||
           (!end.empty() && at_name(end));
  };
  std::vector<ExpressionPointer> parts;
  bool is_tuple = false;
  while (true) {
    if (!parts.empty()) expect_sign(",");
    if (ends()) break;
    parts.push_back(expression(with_condition));
    if (!at_sign(",")) break;
    is_tuple = true;
  }
  if (is_tuple || (parts.empty() && in_parentheses)) return make(Kind_::tuple, line, std::move(parts));
  if (parts.empty()) fail("expected an expression");
  return std::move(parts.front());
}

ExpressionPointer Parser::target(std::string_view end, bool with_attribute) {
  const int line = current().line;
  std::vector<ExpressionPointer> parts;
  bool is_tuple = false;
  while (true) {
    if (!parts.empty()) expect_sign(",");
    const bool ends = current().kind == TokenKind::block_end || at_sign(")") || (!end.empty() && at_name(end));
    if (ends) break;
    parts.push_back(single_target(with_attribute));
    if (!at_sign(",")) break;
    is_tuple = true;
  }
  if (is_tuple) return make(Kind_::tuple, line, std::move(parts));
  if (parts.empty()) fail("expected the name to assign to");
  return std::move(parts.front());
}

ExpressionPointer Parser::single_target(bool with_attribute) {
  const Token& token = current();
  if (skip_sign("(")) {
    ExpressionPointer inner = target({}, false);
    expect_sign(")");
    return inner;
  }
  if (token.kind != TokenKind::name) fail("expected the name to assign to, got '" + token.text + "'");
  const std::string& name = advance().text;
  for (const char* constant : {"true", "false", "none", "True", "False", "None"}) {
    if (name == constant) fail("can't assign to '" + name + "'", token.line);
  }
  auto node = make(Kind_::name, token.line);
  node->id = intern(name);
  if (!with_attribute || !skip_sign(".")) return node;
  auto attribute = make(Kind_::attribute, token.line, parts_of(std::move(node)));
  attribute->text = expect_any_name();
  return attribute;
}

}  // namespace grpo::text::jinja
