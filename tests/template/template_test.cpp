// The interface of Template: errors, variables, threads, prompt files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "golden.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/text/template.hpp"

namespace {

using golden::Json;
using grpo::text::Template;
using testing::HasSubstr;

std::string error_of(const std::string& source, const Json& variables = Json::object()) {
  try {
    Template(source, "my.jinja").render(variables);
  } catch (const grpo::Error& error) {
    return error.what();
  }
  return "";
}

TEST(Template, RendersVariablesInTheirOrder) {
  const Template greeting("{% for k, v in o.items() %}{{ k }}={{ v }} {% endfor %}{{ name }}", "greeting");
  EXPECT_EQ(greeting.render({{"o", {{"z", 1}, {"a", nullptr}, {"m", 1.5}}}, {"name", "Ada"}}), "z=1 a=None m=1.5 Ada");
  EXPECT_EQ(greeting.name(), "greeting");
}

TEST(Template, VariablesWinOverFunctions) {
  EXPECT_EQ(Template("{{ range }}", "t").render({{"range", "mine"}}), "mine");
}

TEST(Template, NeverRendersTextOfVariables) {
  EXPECT_EQ(Template("{{ x }}{{ x | upper }}", "t").render({{"x", "{{ y }}{% if"}}), "{{ y }}{% if{{ Y }}{% IF");
}

TEST(Template, ErrorsNameTemplateLineAndCause) {
  EXPECT_THAT(error_of("a\n\n{{ missing.x }}"), HasSubstr("my.jinja, line 3: 'missing' is undefined"));
  EXPECT_THAT(error_of("\n{{ {'a': 1}.b.c }}"), HasSubstr("line 2: 'dict object' has no attribute 'b'"));
  EXPECT_THAT(error_of("{% if x %}\n{% for y in z %}\n"), HasSubstr("line 2"));
  EXPECT_THAT(error_of("{% if x %}\n{% for y in z %}\n"), HasSubstr("'endfor' or 'else'"));
  EXPECT_THAT(error_of("x\n{{ 1 | nosuch }}"), HasSubstr("line 2: no filter named 'nosuch'"));
  EXPECT_THAT(error_of("x\n{{ raise_exception('roles must alternate') }}"), HasSubstr("line 2: roles must alternate"));
  EXPECT_THAT(error_of("{% include 'other' %}"), HasSubstr("'include' is not supported"));
  EXPECT_THAT(error_of("{{ [1].append(2) }}"), HasSubstr("unsafe"));
  EXPECT_THAT(error_of("{{ 9223372036854775807 + 1 }}"), HasSubstr("64 bits"));
}

TEST(Template, ErrorInAMacroNamesItsOwnLine) {
  EXPECT_THAT(error_of("{% macro m() %}\n{{ 1 + 'a' }}\n{% endmacro %}\n\n{{ m() }}"), HasSubstr("line 2"));
  EXPECT_THAT(error_of("{% macro m() %}\n{{ 1 }}\n{% endmacro %}\n\n{{ m() + 1 }}"), HasSubstr("line 5"));
}

TEST(Template, RefusesVariablesThatAreNoObject) { EXPECT_THROW(Template("x", "t").render(Json::array()), grpo::Error); }

TEST(Template, RendersInSeveralThreadsAtOnce) {
  const Template shared("{% set ns = namespace(n=0) %}{% for x in l %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}",
                        "t");
  std::vector<std::string> results(4);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 50; ++j) results[i] = shared.render({{"l", {i, 10, 100}}});
    });
  }
  for (auto& thread : threads) thread.join();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(results[i], std::to_string(110 + i));
}

TEST(PromptTemplate, IsStrippedAndGivenContent) {
  const auto path = std::filesystem::path(testing::TempDir()) / "grpo_prompt.jinja";
  std::ofstream(path) << "\n  {{ content | trim }} Think first.\n\n";
  const Template prompt = grpo::text::load_prompt_template(path.string());
  EXPECT_EQ(grpo::text::render_prompt(prompt, " 2 + {{ 2 }}? "), "2 + {{ 2 }}? Think first.");
  std::filesystem::remove(path);
  EXPECT_THROW(grpo::text::load_prompt_template(path.string()), grpo::Error);
}

}  // namespace
