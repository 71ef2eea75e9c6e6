#include "grpo/sdk/text/template.hpp"

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "ast.hpp"
#include "grpo/sdk/error.hpp"
#include "interpreter.hpp"
#include "parser.hpp"
#include "unicode.hpp"

namespace grpo::text {

struct Template::Parsed {
  std::string source, name;
  TemplateLimits limits;
  jinja::Ast ast;
};

Template::Template(std::string source, std::string name, TemplateLimits limits) {
  auto parsed = std::make_shared<Parsed>();
  parsed->source = std::move(source);
  parsed->name = std::move(name);
  parsed->limits = limits;
  parsed->ast = jinja::parse(parsed->source, parsed->name);
  parsed_ = std::move(parsed);
}

std::string Template::render(const nlohmann::ordered_json& variables) const {
  std::vector<TextSpan> generated;
  return render(variables, generated);
}

std::string Template::render(const nlohmann::ordered_json& variables, std::vector<TextSpan>& generated) const {
  if (!variables.is_object()) throw Error(name() + ": the variables of a template must be a JSON object");
  jinja::Interpreter interpreter(parsed_->ast, variables, parsed_->limits);
  try {
    std::string text = interpreter.run();
    generated = interpreter.generated();
    return text;
  } catch (const jinja::Failure& failure) {
    throw Error(name() + ", line " + std::to_string(interpreter.line()) + ": " + failure.what());
  }
}

const std::string& Template::name() const { return parsed_->name; }

const std::string& Template::source() const { return parsed_->source; }

Template load_prompt_template(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error("cannot read the prompt template " + path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return Template(std::string(jinja::strip(text, true, true)), path);
}

std::string render_prompt(const Template& prompt, const std::string& content) {
  return prompt.render({{"content", content}});
}

}  // namespace grpo::text
