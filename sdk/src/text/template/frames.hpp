// frames.hpp: which names belong to which frame, worked out once after parsing.
//
// Jinja compiles a template to Python functions. A name that a frame (the template, a loop, a macro, ...) sets without
// having read it before is a variable of that frame from its start, undefined until set, even if an outer frame or the
// caller has one of the same name. This pass finds those names, the macros that use caller, varargs or kwargs, and
// filters and tests that do not exist.
#ifndef GRPO_TEXT_TEMPLATE_FRAMES_HPP
#define GRPO_TEXT_TEMPLATE_FRAMES_HPP

#include "ast.hpp"

namespace grpo::text::jinja {

/// Fills the `unset` lists and the uses of macros. Throws grpo::Error with the template's `name` and line.
void resolve_frames(Ast& ast, const std::string& name);

}  // namespace grpo::text::jinja

#endif
