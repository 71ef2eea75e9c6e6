#include "grpo/sdk/plugins/options.hpp"

#include <gmock/gmock.h>

#include "fakes.hpp"

namespace grpo::plugins {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

const json schema = json::parse(R"({
  "rate": {"type": "number", "default": 0.5, "minimum": 0, "maximum": 1},
  "steps": {"type": "integer", "default": 10, "minimum": 1},
  "strict": {"type": "boolean", "default": false},
  "mode": {"type": "string", "enum": ["fast", "exact"], "default": "fast"},
  "stop": {"type": "list"},
  "extra": {"type": "object"},
  "path": {"type": "string", "required": true, "description": "a folder"}})");

std::string options_refusal(const json& values) {
  return error_of([&] { Options(values, schema, "sampler"); });
}

TEST(Options, DefaultsAndGetters) {
  const Options options({{"path", "/x"}, {"stop", {1, 2}}, {"steps", 1e3}, {"strict", true}}, schema, "sampler");
  const grpo_options* o = options;
  double number = -1;
  EXPECT_EQ(o->number(o, "rate", &number), 1);
  EXPECT_EQ(number, 0.5);
  std::int64_t integer = -1;
  EXPECT_EQ(o->integer(o, "steps", &integer), 1);
  EXPECT_EQ(integer, 1000) << "YAML writes 1e3";
  EXPECT_EQ(o->integer(o, "strict", &integer), 1);
  EXPECT_EQ(integer, 1);
  EXPECT_EQ(o->integer(o, "rate", &integer), 0) << "0.5 is no integer";
  EXPECT_EQ(integer, 1) << "was touched";
  grpo_str text{};
  EXPECT_EQ(o->text(o, "mode", &text), 1);
  EXPECT_STREQ(text.data, "fast");
  EXPECT_EQ(o->text(o, "stop", &text), 1);
  EXPECT_STREQ(text.data, "[1,2]");
  EXPECT_EQ(o->text(o, "extra", &text), 0) << "not given, and no default";
  EXPECT_EQ(o->number(o, "path", &number), 0);
  EXPECT_EQ(json::parse(o->json.data), options.values());
  EXPECT_EQ(options.values()["steps"], 1000);
  EXPECT_EQ(grpo_option_number(o, "nothing", 3), 3);
}

TEST(Options, PathsAreMarkedByAFormat) {
  check_option_schema(json::parse(R"({"a": {"type": "string", "format": "path"}})"), "x");
  check_option_schema(json::parse(R"({"a": {"type": "list", "format": "path"}})"), "x");
  check_option_schema(json::parse(R"({"a": {"type": "integer", "format": "of a later SDK"}})"), "x");
  EXPECT_THAT(error_of([] { check_option_schema(json::parse(R"({"a": {"type": "number", "format": "path"}})"), "x"); }),
              HasSubstr("the option \"a\": \"format\": \"path\" is for a string"));
}

TEST(Options, Refusals) {
  EXPECT_EQ(options_refusal({{"path", "x"}, {"ratee", 1}}),
            "sampler.ratee: no such option; did you mean 'rate'?; known: extra, mode, path, rate, steps, stop, strict");
  EXPECT_THAT(options_refusal({{"path", "x"}, {"zzzzzz", 1}}),
              AllOf(HasSubstr("no such option; known: "), testing::Not(HasSubstr("did you mean"))));
  EXPECT_EQ(options_refusal(json::object()), "sampler.path: required, and not given (a string: a folder)");
  EXPECT_EQ(options_refusal({{"path", nullptr}}), "sampler.path: required, and not given (a string: a folder)");
  EXPECT_EQ(options_refusal({{"path", "x"}, {"rate", 1.5}}), "sampler.rate: 1.5 is over the maximum 1");
  EXPECT_EQ(options_refusal({{"path", "x"}, {"steps", 0}}), "sampler.steps: 0 is under the minimum 1");
  EXPECT_EQ(options_refusal({{"path", "x"}, {"steps", 1.5}}), "sampler.steps: 1.5 is not an integer");
  EXPECT_EQ(options_refusal({{"path", "x"}, {"steps", 18446744073709551615u}}),
            "sampler.steps: 18446744073709551615 is not an integer");
  EXPECT_EQ(options_refusal({{"path", "x"}, {"strict", 1}}), "sampler.strict: 1 is not a boolean");
  EXPECT_EQ(options_refusal({{"path", "x"}, {"stop", "x"}}), "sampler.stop: \"x\" is not a list");
  EXPECT_EQ(options_refusal({{"path", "x"}, {"mode", "slow"}}),
            "sampler.mode: \"slow\" is none of \"fast\", \"exact\"");
  EXPECT_EQ(options_refusal(json::array()), "sampler: the options are not a mapping of keys to values");
}

TEST(Options, SchemasAreCheckedToo) {
  const auto bad = [](const char* text) {
    return error_of([&] { check_option_schema(json::parse(text), "component 'x'"); });
  };
  EXPECT_THAT(bad(R"({"a": {"type": "flot"}})"), HasSubstr("the option \"a\" has the type \"flot\""));
  EXPECT_THAT(bad(R"({"a": {"type": "number", "defualt": 1}})"), HasSubstr("did you mean \"default\"?"));
  EXPECT_THAT(bad(R"({"a": {"type": "number", "default": "x"}})"), HasSubstr("the default: \"x\" is not a number"));
  EXPECT_THAT(bad(R"({"a": {"type": "number", "default": 3, "maximum": 2}})"), HasSubstr("3 is over the maximum 2"));
  EXPECT_THAT(bad(R"({"a": {"type": "string", "minimum": 2}})"), HasSubstr("\"minimum\" is for numbers"));
  EXPECT_THAT(bad(R"({"a": 3})"), HasSubstr("is not an object"));
  EXPECT_EQ(bad(R"({"a": {"type": "number", "since": 4}})"), "nothing was thrown") << "attributes of later SDKs pass";
}

}  // namespace
}  // namespace grpo::plugins
