// template.hpp: a Jinja engine for chat templates and prompt files.
//
// It renders what Jinja2 3.1 renders in the environment that transformers sets up for chat templates: trim_blocks and
// lstrip_blocks, the loopcontrols extension, `tojson` without HTML escapes, `raise_exception`, `strftime_now`, the
// `generation` block (which has no effect on the text) and the immutable sandbox, which refuses methods that change
// their object (`append`, `pop`, ...). Values print as Python prints them. There is no include, import or inheritance.
//
//   grpo::text::Template greeting("Hello {{ name | title }}!", "greeting");
//   greeting.render({{"name", "ada"}});  // "Hello Ada!"
//
// Variables are data: text inside them that looks like a template is never rendered. A hostile template cannot hang or
// overflow the stack: nesting, steps and the size of what is built are bounded, and going over is an Error.
#ifndef GRPO_SDK_TEXT_TEMPLATE_HPP
#define GRPO_SDK_TEXT_TEMPLATE_HPP

#include <cstddef>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace grpo::text {

/// What one rendering may use before it is stopped with an Error.
struct TemplateLimits {
  std::size_t bytes = std::size_t{256} << 20;          ///< text and containers built in all, in bytes
  std::size_t steps = std::size_t{100} * 1000 * 1000;  ///< evaluated expressions, statements and loop rounds
  std::size_t depth = 200;                             ///< macros within macros (and values within values when printed)
};

/// A part of a rendered text, in bytes: [begin, end).
struct TextSpan {
  std::size_t begin = 0, end = 0;
};

/// A parsed template. Immutable; copies share the parsed form.
class Template {
 public:
  /// Parses `source` (UTF-8; CRLF counts as LF and one trailing newline is dropped, as in Jinja2). `name` is how errors
  /// call the template: a path, or a word such as "chat_template".
  /// Throws grpo::Error with name, line and what was expected where the source is not a template.
  Template(std::string source, std::string name, TemplateLimits limits = {});

  /// Renders with the members of the object `variables` as global names. Order of object members is kept.
  /// Any thread, also several at a time. Throws grpo::Error with name, line and cause: what `raise_exception` was
  /// given, an attribute of something undefined, operands that do not fit, an exceeded limit.
  std::string render(const nlohmann::ordered_json& variables) const;

  /// The same, and what `{% generation %}` blocks printed, in order. A block inside a macro or a captured text is not
  /// told: where it ends up is not known while it prints.
  std::string render(const nlohmann::ordered_json& variables, std::vector<TextSpan>& generated) const;

  const std::string& name() const;
  const std::string& source() const;

 private:
  struct Parsed;
  std::shared_ptr<const Parsed> parsed_;
};

/// Reads a prompt template file, as EasyR1 and verl use: the file's text, stripped of white space at both ends, is a
/// template over the variable `content`. Render it with render_prompt. Throws grpo::Error naming the path.
Template load_prompt_template(const std::string& path);

/// `prompt` rendered with the variable `content`.
std::string render_prompt(const Template& prompt, const std::string& content);

}  // namespace grpo::text

#endif
