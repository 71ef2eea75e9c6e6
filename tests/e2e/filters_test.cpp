// The commands that read and write JSON lines: results in the order of the input, an error in its own line.
#include <gtest/gtest.h>

#include <cmath>

#include "support.hpp"

using namespace e2e;

namespace {

class Filters : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch = new Scratch;
    make_run(scratch->path());
    const auto trained = host("sft --config run.yaml sft.max_steps=2", scratch->path());
    ASSERT_EQ(trained.status, 0) << trained.err;
  }
  static void TearDownTestSuite() {
    delete scratch;
    scratch = nullptr;
  }
  static inline Scratch* scratch = nullptr;
  const std::string model = " --model out/checkpoint-2 ";
};

TEST_F(Filters, TokenizeAndBack) {
  const auto ids = host("tokenize" + model, scratch->path(),
                        "{\"text\": \"17+25=\\\\boxed{42}<|end|>\"}\n\nnonsense\n{\"txt\": 1}\n");
  EXPECT_EQ(ids.status, 1);
  const auto rows = lines(ids.out);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0]["ids"], (std::vector<int>{1, 7, 10, 2, 5, 11, 13, 4, 2, 12, 14}));
  EXPECT_NE(rows[1]["error"].get<std::string>().find("line 3"), std::string::npos);
  EXPECT_NE(rows[2]["error"].get<std::string>().find("there is no 'text'; this line has: txt"), std::string::npos);
  const auto text = host("tokenize --decode --skip-special-tokens" + model, scratch->path(), rows[0].dump() + "\n");
  EXPECT_EQ(lines(text.out).at(0)["text"], "17+25=\\boxed{42}");
}

TEST_F(Filters, Render) {
  write((*scratch) / "t.jinja", "{{ bos }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}");
  const auto result = host("render --template t.jinja", scratch->path(),
                           R"({"messages": [{"role": "user", "content": "hé"}], "extra": {"bos": "<s>"}})"
                           "\n"
                           R"({"messages": 3})"
                           "\n");
  const auto rows = lines(result.out);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0]["text"], "<s>[user] hé\n");
  EXPECT_TRUE(rows[1].contains("error"));
}

TEST_F(Filters, Grade) {
  const auto equal = host("grade", scratch->path(),
                          "{\"gold\": \"1/2\", \"answer\": \"0.5\"}\n{\"gold\": \"3\", \"answer\": \"4\"}\n");
  EXPECT_EQ(equal.status, 0);
  EXPECT_EQ(lines(equal.out).at(0)["equal"], true);
  EXPECT_EQ(lines(equal.out).at(1)["equal"], false);
  const auto extract = host("grade --extract", scratch->path(),
                            R"({"completion": "so \\boxed{\\frac{1}{2}}."})"
                            "\n"
                            R"({"completion": "hm"})"
                            "\n");
  EXPECT_EQ(lines(extract.out).at(0)["answer"], "\\frac{1}{2}");
  EXPECT_TRUE(lines(extract.out).at(1)["answer"].is_null());
}

TEST_F(Filters, Objective) {
  const auto result =
      host("objective", scratch->path(),
           R"({"per_token_logps": [[-1.0, -2.0], [-0.5]], "advantages": [1.0, -1.0], "config": {"loss_type": "grpo"}})"
           "\n"
           R"({"per_token_logps": [[-1.0]], "advantages": [1.0], "config": {"los_type": "grpo"}})"
           "\n");
  const auto rows = lines(result.out);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_NEAR(rows[0]["loss"].get<double>(), 0.0, 1e-12);  // A = +1 and -1, ratio 1, each row's mean
  EXPECT_NEAR(rows[0]["dlogp"][0][0].get<double>(), -0.25, 1e-12);
  EXPECT_NEAR(rows[0]["dlogp"][1][0].get<double>(), 0.5, 1e-12);
  EXPECT_NE(rows[1]["error"].get<std::string>().find("los_type"), std::string::npos);
}

TEST_F(Filters, LogprobsAndGenerateAgree) {
  const auto generated =
      host("generate --logprobs --temperature 1 --max-new-tokens 6 --batch 2" + model, scratch->path(),
           "{\"text\": \"1+2=\"}\n{\"ids\": [1, 10, 3, 11]}\n{\"oops\": 1}\n{\"text\": \"77+8=\"}\n");
  EXPECT_EQ(generated.status, 1);
  const auto rows = lines(generated.out);
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_TRUE(rows[2].contains("error"));
  std::vector<int> ids = {1, 10, 2, 11};
  const auto prompt = ids.size();
  for (const int id : rows[0]["ids"]) ids.push_back(id);
  const auto scored = host("logprobs" + model, scratch->path(),
                           nlohmann::json{{"ids", ids}}.dump() + "\n{\"ids\": [99]}\n{\"ids\": [3]}\n");
  const auto scores = lines(scored.out);
  ASSERT_EQ(scores.size(), 3u);
  ASSERT_EQ(scores[0]["logprobs"].size(), ids.size() - 1);
  for (std::size_t i = 0; i < rows[0]["ids"].size(); ++i)
    EXPECT_NEAR(scores[0]["logprobs"][prompt - 1 + i].get<double>(), rows[0]["logprobs"][i].get<double>(), 1e-4) << i;
  EXPECT_TRUE(scores[1].contains("error"));
  EXPECT_EQ(scores[2]["logprobs"].size(), 0u);
  const auto again = host("generate --logprobs --temperature 1 --max-new-tokens 6 --batch 64" + model, scratch->path(),
                          "{\"text\": \"1+2=\"}\n{\"ids\": [1, 10, 3, 11]}\n{\"oops\": 1}\n{\"text\": \"77+8=\"}\n");
  EXPECT_EQ(again.out, generated.out) << "a completion depends on its own line alone";
}

// For a person: the same completion as text, and nothing else on standard output.
TEST_F(Filters, GenerateStreamsAReplyToAPrompt) {
  const std::string options = "generate --seed 5 --max-new-tokens 6" + model;
  const auto row = lines(host(options, scratch->path(), "{\"text\": \"1+2=\"}\n").out).at(0);
  const auto told = host(options + "--raw '1+2='", scratch->path());
  EXPECT_EQ(told.status, 0) << told.err;
  EXPECT_EQ(told.out, row["text"].get<std::string>() + "\n");
  EXPECT_EQ(host(options + "--raw -", scratch->path(), "1+2=\n").out, told.out);
  const auto chat = host(options + "'1+2='", scratch->path());
  EXPECT_EQ(chat.status, 1);
  EXPECT_NE(chat.err.find("--raw"), std::string::npos) << chat.err;
  write((*scratch) / "t.jinja", "{% for m in messages %}{{ m.content }}{% endfor %}");
  const auto talk = host(options + "--chat-template t.jinja -i", scratch->path(), "1+2=\n\n3+4=\n/reset\n3+4=\n");
  EXPECT_EQ(talk.status, 0) << talk.err;
  EXPECT_TRUE(talk.out.starts_with(told.out)) << talk.out;
}

TEST_F(Filters, ScoreNeedsNoModel) {
  const auto result = host("score --reward math --options '{\"wrong\": -0.5, \"missing\": -1}'", scratch->path(),
                           R"({"completion": "\\boxed{42}", "ground_truth": "#### 42"})"
                           "\n"
                           R"({"completion": "\\boxed{41}", "ground_truth": "42"})"
                           "\n"
                           R"({"completion": "no idea", "ground_truth": 42})"
                           "\n"
                           R"({"completion": "\\boxed{1}"})"
                           "\n");
  EXPECT_EQ(result.status, 0) << result.err;
  const auto rows = lines(result.out);
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0]["score"], 1.0);
  EXPECT_EQ(rows[1]["score"], -0.5);
  EXPECT_EQ(rows[2]["score"], -1.0);
  EXPECT_EQ(rows[3]["status"], "not_applicable");
  EXPECT_TRUE(rows[3]["score"].is_null());
}

TEST_F(Filters, PluginsConfigDoctor) {
  const auto list = host("plugins list", scratch->path());
  EXPECT_EQ(list.status, 0) << list.err;
  for (const char* name : {"transformer", "local", "adamw", "sgd", "math", "format", "tags", "length"})
    EXPECT_NE(list.out.find(name), std::string::npos) << name;
  EXPECT_NE(host("plugins describe math", scratch->path()).out.find("missing"), std::string::npos);
  EXPECT_NE(host("plugins describe moth", scratch->path()).err.find("there is no plugin 'moth'"), std::string::npos);
  const auto config = host("config --config run.yaml algorithm.group_size=9", scratch->path());
  EXPECT_NE(config.out.find("run.yaml:"), std::string::npos) << config.out;
  EXPECT_NE(config.out.find("command line"), std::string::npos) << config.out;
  EXPECT_EQ(host("doctor", scratch->path()).status, 0);
}

TEST_F(Filters, ExportLeavesTrainingStateOut) {
  const auto result = host("export out/checkpoint-2 exported", scratch->path());
  ASSERT_EQ(result.status, 0) << result.err;
  const auto config = nlohmann::json::parse(read((*scratch) / "exported/config.json"));
  EXPECT_EQ(config.contains("dtype") ? config["dtype"] : config["torch_dtype"], "bfloat16");
  EXPECT_FALSE(std::filesystem::exists((*scratch) / "exported/optimizer.safetensors"));
  EXPECT_TRUE(std::filesystem::exists((*scratch) / "exported/tokenizer.json"));
  EXPECT_EQ(host("generate --greedy --model exported", scratch->path(), "{\"text\": \"1+1=\"}\n").status, 0);
}

}  // namespace
