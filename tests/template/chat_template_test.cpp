// Where a model's template and its special tokens come from.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "golden.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/text/chat_template.hpp"

namespace {

namespace fs = std::filesystem;
using golden::Json;
using grpo::text::ChatTemplate;
using testing::HasSubstr;

const Json hello = {{{"role", "user"}, {"content", "hi"}}};

class ChatTemplateTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::path(testing::TempDir()) /
                 ("grpo_chat_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }

  void write(const std::string& name, const std::string& text) {
    fs::create_directories((directory_ / name).parent_path());
    std::ofstream(directory_ / name, std::ios::binary) << text;
  }
  ChatTemplate load() const { return ChatTemplate::load(directory_.string()); }
  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  std::string error() const {
    try {
      load();
    } catch (const grpo::Error& caught) {
      return caught.what();
    }
    return "";
  }

 private:
  fs::path directory_;
};

TEST_F(ChatTemplateTest, FilesWinOverTheTokenizerConfig) {
  write("tokenizer_config.json", R"({"chat_template": "config {{ bos_token }}", "bos_token": "<s>"})");
  EXPECT_EQ(load().render(hello), "config <s>");
  write("chat_template.json", R"({"chat_template": "json {{ bos_token }}"})");
  EXPECT_EQ(load().render(hello), "json <s>");
  write("chat_template.jinja", "jinja {{ bos_token }}\n");
  EXPECT_EQ(load().render(hello), "jinja <s>");
  EXPECT_EQ(load().source(), "jinja {{ bos_token }}\n");
  write("mine.jinja", "mine {{ messages[0].content }}");
  EXPECT_EQ(ChatTemplate::load(path(""), path("mine.jinja")).render(hello), "mine hi");
}

TEST_F(ChatTemplateTest, ToolsTakeTheTemplateForTools) {
  write(
      "tokenizer_config.json",
      R"({"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "{{ tools | length }} tools"}]})");
  EXPECT_EQ(load().render(hello), "plain");
  EXPECT_EQ(load().render(hello, {{{"name", "f"}}}, true, nullptr), "1 tools");
  write("tokenizer_config.json", R"({"chat_template": [{"name": "rag", "template": "r"}]})");
  EXPECT_THROW(load().render(hello), grpo::Error);
}

TEST_F(ChatTemplateTest, AdditionalTemplatesAreNamedByTheirFiles) {
  write("chat_template.jinja", "plain");
  write("additional_chat_templates/tool_use.jinja", "tools");
  EXPECT_EQ(load().render(hello, Json::array(), true, nullptr), "tools");
  EXPECT_EQ(load().render(hello), "plain");
}

TEST_F(ChatTemplateTest, SpecialTokensAreTextsOrObjects) {
  write("chat_template.jinja", "{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ image_token }}{{ add_bos_token }}|");
  write("tokenizer_config.json",
        R"({"bos_token": {"__type": "AddedToken", "content": "<b>"}, "eos_token": null, "add_bos_token": true,
            "extra_special_tokens": {"image_token": "<img>"}})");
  write("special_tokens_map.json", R"({"bos_token": "<other>", "eos_token": {"content": "<e>"}, "pad_token": "<p>"})");
  EXPECT_EQ(load().render(hello), "<b><e><p><img>|");
  EXPECT_EQ(load().special_tokens().at("eos_token"), "<e>");
  EXPECT_EQ(load().render(hello, nullptr, true, {{"bos_token", "X"}}), "X<e><p><img>|");
}

TEST_F(ChatTemplateTest, SetsTheVariablesThatTransformersSets) {
  write("chat_template.jinja",
        "{{ tools is none }} {{ documents is none }} {{ add_generation_prompt }} {{ x }} {{ messages[0].keys() | list "
        "}}");
  const Json messages = {{{"role", "user"}, {"content", nullptr}, {"reasoning", "r"}}};
  EXPECT_EQ(load().render(messages, nullptr, false, {{"x", 5}}),
            "True True False 5 ['thinking', 'role', 'reasoning', 'reasoning_content']");
}

TEST_F(ChatTemplateTest, SaysWhereItLooked) {
  EXPECT_THAT(error(), AllOf(HasSubstr(path("").substr(0, 5)), HasSubstr("chat_template.jinja"),
                             HasSubstr("tokenizer_config.json")));
  write("tokenizer_config.json", "{\"chat_template\": ");
  EXPECT_THAT(error(), AllOf(HasSubstr("tokenizer_config.json"), HasSubstr("not JSON")));
  write("tokenizer_config.json", "{}");
  write("chat_template.jinja", "a\n{% if %}");
  EXPECT_THAT(error(), HasSubstr("chat_template.jinja, line 2: expected an expression"));
  EXPECT_THROW(ChatTemplate::load(path("nowhere")), grpo::Error);
}

TEST_F(ChatTemplateTest, RefusesWhatIsNoConversation) {
  write("chat_template.jinja", "x");
  EXPECT_THROW(load().render(Json::array()), grpo::Error);
  EXPECT_THROW(load().render({"hi"}), grpo::Error);
  EXPECT_THROW(load().render(Json::object()), grpo::Error);
  EXPECT_THROW(load().render(hello, nullptr, true, {1, 2}), grpo::Error);
}

}  // namespace
