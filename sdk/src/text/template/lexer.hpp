// lexer.hpp: template source to tokens, with the white space control of trim_blocks and lstrip_blocks already applied.
#ifndef GRPO_TEXT_TEMPLATE_LEXER_HPP
#define GRPO_TEXT_TEMPLATE_LEXER_HPP

#include <string>
#include <vector>

#include "grpo/sdk/error.hpp"

namespace grpo::text::jinja {

enum class TokenKind : unsigned char {
  data,            // text outside of tags
  variable_begin,  // {{
  variable_end,
  block_begin,  // {%
  block_end,
  name,
  string,
  integer,
  real,
  sign,  // operators and punctuation, as written
  end,
};

struct Token {
  TokenKind kind;
  int line;
  std::string text;  // of strings: the value, escapes resolved
};

/// Throws grpo::Error with `name` and line. The last token is `end`.
std::vector<Token> tokenize(const std::string& source, const std::string& name);

[[noreturn]] void fail_syntax(const std::string& name, int line, const std::string& what);

}  // namespace grpo::text::jinja

#endif
