#include "grpo/sdk/plugins/manifest.hpp"

#include <gmock/gmock.h>

#include "fakes.hpp"

namespace grpo::plugins {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using namespace std::string_literals;

const std::string part = R"(GRPO1 {"name": "two", "version": "1.0", "licence": "MIT", "components": [
  {"interface": "grpo.reward/1", "name": "a"}]})";

std::string refusal(const std::string& section) {
  return error_of([&] { parse_manifest(section, "x.so"); });
}
std::string with(const std::string& components) {
  return R"(GRPO1 {"name": "n", "version": "1", "licence": "MIT", "components": )" + components + "}\0"s;
}

TEST(Manifest, SeveralDocumentsBecomeOne) {
  const Manifest m =
      parse_manifest(part + "\0\0\0"s + R"(GRPO1 {"name": "two", "requires": {"libtorch": "2.11.0"}, "components": [
    {"interface": "grpo.model/1", "name": "a", "offers": ["grpo.decode/1"], "options": {"k": {"type": "integer", "default": 3}}}]})" +
                         "\0"s,
                     "x.so");
  EXPECT_EQ(m.name, "two");
  EXPECT_EQ(m.version, "1.0");
  ASSERT_EQ(m.components.size(), 2u);
  EXPECT_EQ(m.components[1].interface_id, "grpo.model/1");
  EXPECT_EQ(m.components[1].offers, std::vector<std::string>{"grpo.decode/1"});
  EXPECT_EQ(m.requires_once.at("libtorch"), "2.11.0");
}

TEST(Manifest, Refusals) {
  EXPECT_EQ(refusal(""), "x.so: its manifest is empty");
  EXPECT_EQ(refusal(part), "x.so: its manifest does not end in a 0");
  EXPECT_THAT(refusal("GRPO2 {}\0"s), HasSubstr("begins with \"GRPO2 {}\""));
  EXPECT_THAT(refusal(R"(GRPO1 {"name" "two"})" + "\0"s),
              AllOf(HasSubstr("not JSON: near character 13"), HasSubstr("after \"{\"name\" \"two\"")));
  EXPECT_THAT(refusal("GRPO1 [1]\0"s), HasSubstr("is not an object"));
  EXPECT_THAT(refusal(R"(GRPO1 {"name": "a", "name": "b"})" + "\0"s), HasSubstr("has the key \"name\" twice"));
  EXPECT_THAT(refusal(R"(GRPO1 {"name": "n", "version": "1"})" + "\0"s), HasSubstr("lacks \"licence\""));
  EXPECT_THAT(refusal(R"(GRPO1 {"name": 3, "version": "1"})" + "\0"s), HasSubstr("\"name\" is not a string"));
  EXPECT_THAT(refusal(with("[]")), HasSubstr("\"components\" is missing, empty or not a list"));
  EXPECT_THAT(refusal(with(R"([{"interface": "reward", "name": "a"}])")),
              HasSubstr("an id looks like \"grpo.reward/1\""));
  EXPECT_THAT(refusal(with(R"([{"interface": "grpo.reward/1", "name": "a b"}])")), HasSubstr("'a b' is not a name"));
  EXPECT_THAT(
      refusal(with(R"([{"interface": "grpo.reward/1", "name": "a"}, {"interface": "grpo.reward/1", "name": "a"}])")),
      HasSubstr("lists grpo.reward/1 'a' twice"));
  EXPECT_THAT(refusal(with(R"([{"interface": "grpo.reward/1", "name": "a", "options": {"k": {"type": "int"}}}])")),
              HasSubstr("component 'a': the option \"k\" has the type \"int\""));
  EXPECT_THAT(refusal(part + "\0"s + part + "\0"s), HasSubstr("twice"));
  EXPECT_THAT(refusal(part + "\0"s + R"(GRPO1 {"name": "three"})" + "\0"s),
              HasSubstr("disagree about \"name\": 'two' and 'three'"));
  EXPECT_THAT(refusal("GRPO1 {" + std::string(4000, ' ') + "}\0"s), HasSubstr("at most 4000 are allowed"));
}

TEST(Manifest, ListAndDescribe) {
  Manifest m = read_manifest(std::string(FAKES) + "/fake_reward.so");
  m.path = "plugins/fake_reward.so";
  EXPECT_EQ(list({m}),
            "KIND    NAME   VERSION  LICENCE  FILE\n"
            "reward  boxed  1.0.0    MIT      plugins/fake_reward.so\n");
  EXPECT_EQ(describe(m),
            "fake_reward\n"
            "  file     plugins/fake_reward.so\n"
            "  version  1.0.0\n"
            "  licence  MIT\n"
            "\n"
            "reward boxed  (grpo.reward/1)\n"
            "  options\n"
            "    missing  number  = -1\n"
            "    wrong    number  = -0.5  at most 0\n");
}

TEST(Manifest, FakesAreAllThere) {
  const Registry registry = fakes();
  EXPECT_TRUE(registry.refusals().empty());
  EXPECT_EQ(registry.names("grpo.reward/1"), (std::vector<std::string>{"boxed", "letters", "novelty"}));
  EXPECT_EQ(registry.find("grpo.model/1", "fake").offers, std::vector<std::string>{"grpo.decode/1"});
  EXPECT_EQ(kind_of("grpo.model/1"), "model");
  EXPECT_EQ(kind_of("odd"), "odd");
}

}  // namespace
}  // namespace grpo::plugins
