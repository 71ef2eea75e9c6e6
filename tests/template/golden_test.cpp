// Equality with Jinja2 as transformers sets it up: texts byte for byte, and errors where it has errors.
#include <gtest/gtest.h>

#include <ctime>
#include <functional>

#include "golden.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/text/chat_template.hpp"

namespace {

using golden::Json;
using grpo::text::ChatTemplate;
using grpo::text::Template;

// Templates that write the date were rendered on another day: "<today %Y-%m-%d>" stands for it.
std::string with_today(std::string text) {
  const std::string mark = "<today ";
  for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) {
    const auto end = text.find('>', at);
    const std::string form = text.substr(at + mark.size(), end - at - mark.size());
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    localtime_r(&now, &local);
    char written[64];
    text.replace(at, end + 1 - at, written, std::strftime(written, sizeof written, form.c_str(), &local));
  }
  return text;
}

void expect_same(const Json& row, const std::string& what, const std::function<std::string()>& render) {
  std::string text, error;
  try {
    text = render();
  } catch (const grpo::Error& caught) {
    error = caught.what();
  }
  if (row.contains("text")) {
    EXPECT_EQ(error, "") << what;
    EXPECT_EQ(text, with_today(row["text"].get<std::string>())) << what;
    return;
  }
  EXPECT_NE(error, "") << what << "\nrendered: " << text << "\nbut transformers says " << row["error"];
  // what raise_exception was given must reach the reader
  const std::string wanted = row["error"].is_string() ? row["error"].get<std::string>() : "";
  const std::string raised = "TemplateError: ";
  if (wanted.compare(0, raised.size(), raised) == 0) {
    EXPECT_NE(error.find(wanted.substr(raised.size())), std::string::npos) << what << "\n" << error;
  }
}

TEST(Golden, EveryFeature) {
  const Json variables = golden::read_lines("variables.json").at(0);
  const auto rows = golden::read_lines("cases.jsonl");
  ASSERT_GT(rows.size(), 200u);
  for (const Json& row : rows) {
    const std::string source = row["template"];
    expect_same(row, source, [&] { return Template(source, "case").render(variables); });
  }
}

TEST(Golden, RandomTemplates) {
  const Json variables = golden::read_lines("variables.json").at(0);
  const auto rows = golden::read_lines("fuzz.jsonl");
  ASSERT_GT(rows.size(), 500u);
  for (const Json& row : rows) {
    const std::string source = row["template"];
    expect_same(row, source, [&] { return Template(source, "case").render(variables); });
  }
}

TEST(Golden, RealTemplatesOverConversations) {
  const Json all = golden::read_lines("conversations.json").at(0);
  const auto rows = golden::read_lines("real.jsonl");
  ASSERT_GT(rows.size(), 500u);
  std::map<std::string, ChatTemplate> templates;
  for (const Json& row : rows) {
    const std::string name = row["template"];
    auto found = templates.find(name);
    if (found == templates.end()) {
      const std::string path = std::string(GRPO_TEST_DATA) + "/real/" + name;
      found = templates.emplace(name, ChatTemplate::from_source(golden::read_text(path), path)).first;
    }
    const Json& conversation = all["conversations"][row["conversation"].get<std::string>()];
    Json extra = all["tokens"];
    for (const auto& [key, value] : conversation["extra"].items()) extra[key] = value;
    expect_same(row, name + " over " + row["conversation"].get<std::string>(), [&] {
      return found->second.render(conversation["messages"], conversation["tools"],
                                  conversation["add_generation_prompt"].get<bool>(), extra);
    });
  }
  EXPECT_GE(templates.size(), 20u);
}

}  // namespace
