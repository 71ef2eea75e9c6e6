// What is generated from the table.
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "loading.hpp"

using namespace grpo::config;
using nlohmann::json;

TEST(Reference, PageIsUpToDate) {
  std::ifstream in(GRPO_SOURCE_DIR "/docs/configuration.md", std::ios::binary);
  std::ostringstream page;
  page << in.rdbuf();
  EXPECT_TRUE(page.str() == reference_markdown())
      << "docs/configuration.md is stale: ninja -C build configuration_docs";
}

// The effective configuration holds every key, so it tells whether the other documents do.
TEST(Reference, EveryKeyIsDocumented) {
  const json schema = json::parse(json_schema());
  const std::string page = reference_markdown(), help = key_help();
  std::istringstream yaml(effective_yaml(load_text("rewards: [math]")));
  std::string section, line;
  int keys = 0;
  while (std::getline(yaml, line)) {
    if (line[0] != ' ') {
      section = line.substr(0, line.find(':'));
      EXPECT_THAT(page, testing::HasSubstr("\n## " + section + "\n"));
      continue;
    }
    const auto begin = line.find_first_not_of(" -");
    const std::string key = line.substr(begin, line.find(':') - begin);
    const json& place = schema["properties"][section];
    const json& object = place.contains("items") ? place["items"]["anyOf"][0] : place;
    EXPECT_TRUE(object["properties"].contains(key)) << section << "." << key;
    EXPECT_GT(object["properties"][key]["description"].get<std::string>().size(), 5u) << section << "." << key;
    EXPECT_THAT(page, testing::HasSubstr("| `" + key + "` |"));
    EXPECT_THAT(help, testing::ContainsRegex(section + "(\\.N)?\\." + key + " = "));
    ++keys;
  }
  EXPECT_GT(keys, 80);
}

TEST(Reference, SchemaHoldsConstraintsAndAliases) {
  const json all = json::parse(json_schema())["properties"];
  const json sampler = all["sampler"]["properties"], optimizer = all["optimizer"]["properties"];
  EXPECT_EQ(sampler["top_p"]["exclusiveMinimum"], 0);
  EXPECT_EQ(sampler["top_p"]["maximum"], 1);
  EXPECT_EQ(sampler["max_completion_length"]["type"], "integer");
  EXPECT_EQ(optimizer["schedule"]["enum"], json({"constant", "linear", "cosine"}));
  EXPECT_EQ(optimizer["learning_rate"]["default"], 1e-6);
  EXPECT_EQ(optimizer["options"]["type"], "object");
  EXPECT_EQ(all["run"]["additionalProperties"], false);
}
