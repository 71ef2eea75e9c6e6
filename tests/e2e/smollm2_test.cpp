// SmolLM2-135M-Instruct, the real weights, against values from transformers (tests/golden/make/smollm2.py).
// tools/get-smollm2 fetches the model; without it these tests say so and are skipped.
#include <gtest/gtest.h>

#include <cmath>

#include "support.hpp"

namespace fs = std::filesystem;
using namespace e2e;

namespace {

class SmolLM2 : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(fs::path(model) / "model.safetensors"))
      GTEST_SKIP() << model << " is not there; run tools/get-smollm2";
  }
  const std::string model = GRPO_SOURCE_DIR "/models/SmolLM2-135M-Instruct";
  const std::vector<nlohmann::json> golden = read_jsonl(GRPO_TEST_DATA "/smollm2.jsonl");

  std::string column(const char* name, const char* as) const {
    std::string text;
    for (const auto& row : golden) text += nlohmann::json{{as, row[name]}}.dump() + "\n";
    return text;
  }
};

TEST_F(SmolLM2, TokenIdsAreThoseOfTransformers) {
  const auto result = host("tokenize --model '" + model + "'", ".", column("text", "text"));
  const auto rows = lines(result.out);
  ASSERT_EQ(rows.size(), golden.size()) << result.err;
  for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i]["ids"], golden[i]["ids"]) << golden[i]["text"];
}

TEST_F(SmolLM2, ChatPromptsAreThoseOfTransformers) {
  std::string input;
  for (const auto& row : golden)
    input += nlohmann::json{{"messages", row["messages"]}, {"add_generation_prompt", true}}.dump() + "\n";
  const auto rendered = host("render --model '" + model + "'", ".", input);
  const auto ids = lines(host("tokenize --model '" + model + "'", ".", rendered.out).out);
  ASSERT_EQ(ids.size(), golden.size());
  for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(ids[i]["ids"], golden[i]["prompt_ids"]);
}

TEST_F(SmolLM2, LogProbabilitiesAreThoseOfTransformers) {
  const auto result = host("logprobs --model '" + model + "'", ".", column("ids", "ids"));
  const auto rows = lines(result.out);
  ASSERT_EQ(rows.size(), golden.size()) << result.err;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    ASSERT_EQ(rows[i]["logprobs"].size(), golden[i]["logprobs"].size());
    for (std::size_t t = 0; t < rows[i]["logprobs"].size(); ++t) {
      EXPECT_NEAR(rows[i]["logprobs"][t].get<double>(), golden[i]["logprobs"][t].get<double>(), 2e-4) << i << " " << t;
      EXPECT_NEAR(rows[i]["entropy"][t].get<double>(), golden[i]["entropy"][t].get<double>(), 2e-4) << i << " " << t;
    }
  }
}

TEST_F(SmolLM2, GreedyContinuationsAreThoseOfTransformers) {
  const auto result =
      host("generate --greedy --max-new-tokens 32 --model '" + model + "'", ".", column("messages", "messages"));
  const auto rows = lines(result.out);
  ASSERT_EQ(rows.size(), golden.size()) << result.err;
  for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i]["ids"], golden[i]["greedy"]) << golden[i]["text"];
}

// The shipped configuration, cut short.
TEST_F(SmolLM2, TrainsOnGsm8k) {
  Scratch dir;
  std::string problems;
  for (const auto& row : golden)
    problems += nlohmann::json{{"question", row["text"]}, {"answer", "#### 42"}}.dump() + "\n";
  write(dir / "train.jsonl", problems);
  const auto result = host(
      "train --config '" GRPO_SOURCE_DIR "/configs/gsm8k-smollm2.yaml' model.path='" + model +
          "' data.path=train.jsonl run.output_dir=out run.max_steps=2 checkpoint.final=false "
          "algorithm.prompts_per_step=2 algorithm.group_size=2 sampler.max_new_tokens=8 rewards='[{plugin: length}]'",
      dir.path());
  ASSERT_EQ(result.status, 0) << result.err;
  const auto rows = read_jsonl(dir / "out/metrics.jsonl");
  ASSERT_EQ(rows.size(), 2u);
  for (const auto& row : rows) {
    EXPECT_LT(row["sampling/logp_difference/max"].get<double>(), 1e-3);
    EXPECT_NEAR(row["ratio/mean"].get<double>(), 1, 1e-4);
    EXPECT_TRUE(std::isfinite(row["kl"].get<double>()));
    EXPECT_GT(row["entropy"].get<double>(), 0);
  }
}

}  // namespace
