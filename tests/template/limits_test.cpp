// Hostile templates end in an error: no hang, no overflow of the stack, no endless memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "golden.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/text/template.hpp"

namespace {

using golden::Json;
using grpo::text::Template;
using grpo::text::TemplateLimits;

std::string limit_error(const std::string& source, TemplateLimits limits = {}) {
  try {
    Template(source, "hostile", limits).render({{"s", "abc"}});
  } catch (const grpo::Error& error) {
    return error.what();
  }
  return "no error";
}

std::string repeated(const std::string& text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

TEST(Limits, Recursion) {
  EXPECT_THAT(limit_error("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), testing::HasSubstr("deep"));
  EXPECT_THAT(limit_error("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"), testing::HasSubstr("deep"));
  EXPECT_THAT(limit_error("{% macro a(f) %}{% call b() %}{{ a(f) }}{% endcall %}{% endmacro %}"
                          "{% macro b() %}{{ caller() }}{% endmacro %}{{ a(1) }}"),
              testing::HasSubstr("deep"));
}

TEST(Limits, NestedSource) {
  for (const char* open : {"(", "[", "not ", "- ", "{1:", "s[", "s(", "x if "}) {
    EXPECT_THAT(limit_error("{{ " + repeated(open, 100000)), testing::HasSubstr("line 1")) << open;
  }
  EXPECT_THAT(limit_error("{{ 1" + repeated(" + 1", 100000) + " }}"), testing::HasSubstr("levels"));
  EXPECT_THAT(limit_error("{{ s" + repeated(" | upper", 100000) + " }}"), testing::HasSubstr("levels"));
  EXPECT_THAT(limit_error(repeated("{% if 1 %}", 100000)), testing::HasSubstr("deeply"));
}

TEST(Limits, ValuesInValues) {
  const std::string loop = "{% set ns = namespace(x=0) %}{% for i in range(100000) %}";
  EXPECT_THAT(limit_error(loop + "{% set ns.x = [ns.x] %}{% endfor %}"), testing::HasSubstr("deeply"));
  EXPECT_THAT(limit_error(loop + "{% set ns.x = {'a': ns.x}.get %}{% endfor %}"), testing::HasSubstr("deeply"));
  EXPECT_THAT(limit_error(loop + "{% set ns.x = [1] | map('default', ns.x) %}{% endfor %}"),
              testing::HasSubstr("deeply"));
  EXPECT_THAT(limit_error(loop + "{% for j in [ns.x] %}{% set ns.x = loop %}{% endfor %}{% endfor %}"),
              testing::HasSubstr("deeply"));
  EXPECT_EQ(limit_error(loop + "{% macro m() %}{% endmacro %}{% set ns.x = m %}{% endfor %}"), "no error");
  EXPECT_EQ(limit_error("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me is defined }}"), "no error");
  EXPECT_THAT(limit_error("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}"), testing::HasSubstr("deep"));
}

TEST(Limits, ReferencesThatOutliveTheirLoop) {
  const Template escaped(
      "{% set ns = namespace() %}{% for x in [1, 2] %}{% set ns.c = loop.cycle %}{% set ns.h = loop.changed %}"
      "{% set ns.l = loop %}{% macro m() %}{{ x }}{% endmacro %}{% set ns.m = m %}{% endfor %}"
      "{{ ns.c(5, 6) }}{{ ns.h(ns.l) }}{{ ns.l.index }}{{ ns.m() }}",
      "t");
  EXPECT_EQ(escaped.render(Json::object()), "6True22");
}

TEST(Limits, MemoryAndTime) {
  TemplateLimits small;
  small.bytes = 1 << 20;
  small.steps = 100000;
  EXPECT_THAT(limit_error("{{ 'x' * 1000000000000 }}"), testing::HasSubstr("bytes"));
  EXPECT_THAT(limit_error("{{ [1] * 1000000000000 }}"), testing::HasSubstr("bytes"));
  EXPECT_THAT(limit_error("{{ 'x' | center(1000000000000) }}"), testing::HasSubstr("bytes"));
  EXPECT_THAT(limit_error("{{ 'x'.ljust(1000000000000) }}"), testing::HasSubstr("bytes"));
  EXPECT_THAT(limit_error("{{ s | indent(1000000000000) }}"), testing::HasSubstr("bytes"));
  EXPECT_THAT(limit_error("{{ [1] | batch(1000000000000, 'x') | list }}"), testing::HasSubstr("bytes"));
  EXPECT_THAT(limit_error("{{ '%1000000000000d' % 1 }}"), testing::HasSubstr("too large"));
  EXPECT_THAT(limit_error("{{ range(100001) }}"), testing::HasSubstr("too big"));
  EXPECT_THAT(limit_error("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", small),
              testing::HasSubstr("steps"));
  EXPECT_THAT(
      limit_error("{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
                  small),
      testing::HasSubstr("bytes"));
  EXPECT_THAT(
      limit_error(
          "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
          small),
      testing::HasSubstr("the template"));
}

}  // namespace
