// parser.hpp: tokens to an Ast, by Jinja's grammar.
#ifndef GRPO_TEXT_TEMPLATE_PARSER_HPP
#define GRPO_TEXT_TEMPLATE_PARSER_HPP

#include <string>

#include "ast.hpp"

namespace grpo::text::jinja {

/// Ids that every template has.
enum : NameId { name_loop, name_caller, name_varargs, name_kwargs, first_free_name };

/// Throws grpo::Error with `name`, line and what was expected.
Ast parse(const std::string& source, const std::string& name);

}  // namespace grpo::text::jinja

#endif
