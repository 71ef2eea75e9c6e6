// SmolLM2-135M-Instruct, the real weights, against values from transformers (tests/golden/make/smollm2.py).
// tools/get-smollm2 fetches the model; without it these tests say so and are skipped.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

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

// Questions of GSM8K and SVAMP as configs/eval-math.yaml asks them, against transformers and math-verify
// (tests/golden/make/smollm2_answers.py): answers of up to 128 tokens are the same to the token, and so is who is
// right.
class Answers : public SmolLM2 {
 protected:
  const std::vector<nlohmann::json> rows = read_jsonl(GRPO_TEST_DATA "/smollm2_answers.jsonl");
  Scratch dir;
};

TEST_F(Answers, GreedyOnesAreThoseOfTransformers) {
  std::string prompts;
  for (const auto& row : rows) {
    const std::string asked =
        row["question"].get<std::string>() + " Please reason step by step, and put your final answer within \\boxed{}.";
    prompts += nlohmann::json{{"messages", {{{"role", "user"}, {"content", asked}}}}}.dump() + "\n";
  }
  const auto result = host("generate --greedy --max-new-tokens 128 --model '" + model + "'", dir.path(), prompts);
  const auto answers = lines(result.out);
  ASSERT_GE(rows.size(), 24u);
  ASSERT_EQ(answers.size(), rows.size()) << result.err;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(answers[i]["ids"], rows[i]["ids"]) << rows[i]["question"];
    EXPECT_EQ(answers[i]["text"], rows[i]["text"]);
    EXPECT_EQ(answers[i]["finish"] == "length", rows[i]["ids"].size() == 128) << rows[i]["question"];
  }
}

TEST_F(Answers, AccuracyIsThatOfTransformersAndMathVerify) {
  std::string data;
  double right = 0;
  for (const auto& row : rows) {
    data += nlohmann::json{{"question", row["question"]}, {"answer", row["answer"]}}.dump() + "\n";
    right += row["right"].get<bool>();
  }
  ASSERT_GE(right, 3) << "no accuracy to compare";
  write(dir / "test.jsonl", data);
  const auto result = host("eval --config '" GRPO_SOURCE_DIR "/configs/eval-math.yaml' --model '" + model +
                               "' --data gsm8k=test.jsonl --max-new-tokens 128 --output out data.prompt_key=question "
                               "data.answer_key=answer",
                           dir.path());
  ASSERT_EQ(result.status, 0) << result.err;
  const auto greedy = nlohmann::json::parse(read(dir / "out/eval.json"))["datasets"][0]["greedy"];
  EXPECT_DOUBLE_EQ(greedy["accuracy_lenient"]["value"].get<double>(), right / static_cast<double>(rows.size()));
  const auto completions = read_jsonl(dir / "out/completions.jsonl");
  ASSERT_EQ(completions.size(), rows.size());
  for (const auto& c : completions) {
    const auto& row = rows.at(c["row"].get<std::size_t>());
    EXPECT_EQ(c["completion"], row["text"]);
    EXPECT_EQ(c["lenient"], row["right"]) << row["text"];
  }
}

// Supervised training against TRL's SFTTrainer (tests/golden/make/sft.py): two steps of AdamW on the same four rows.
class Sft : public SmolLM2 {
 protected:
  // Five values of a tensor of the checkpoint that the run left.
  std::vector<double> values(const std::string& name, const std::vector<int>& probe) const {
    const std::string file = read(dir / "out/checkpoint-2/model.safetensors");
    std::uint64_t header = 0;
    std::memcpy(&header, file.data(), sizeof header);
    const auto tensor = nlohmann::json::parse(file.substr(8, header)).at(name);
    EXPECT_EQ(tensor["dtype"], "F32");
    const auto shape = tensor["shape"].get<std::vector<std::size_t>>();
    const auto row = static_cast<std::size_t>(probe[0]), last = static_cast<std::size_t>(probe[2]);
    const std::size_t at = shape.size() == 1 ? row : row * shape[1] + last - 2;
    const std::size_t begin = 8 + header + tensor["data_offsets"][0].get<std::size_t>() + at * sizeof(float);
    std::vector<float> five(5);
    std::memcpy(five.data(), file.data() + begin, 5 * sizeof(float));
    return {five.begin(), five.end()};
  }
  // The first `steps` of them; weights are compared after both.
  void compare(const char* which, std::size_t steps, const std::string& options) {
    const std::string both = steps == 2 ? "true" : "false";
    const auto trained =
        host("sft model.path='" + model +
                 "' data.path=rows.jsonl run.output_dir=out sft.batch_size=4 sft.max_steps=" + std::to_string(steps) +
                 " sft.learning_rate=1e-4 data.shuffle=false checkpoint.optimizer_state=false " +
                 "checkpoint.final=" + both + " " + options,
             dir.path());
    ASSERT_EQ(trained.status, 0) << trained.err;
    const auto rows = read_jsonl(dir / "out/metrics.jsonl");
    const auto& expected = sft[which];
    ASSERT_EQ(rows.size(), steps);
    for (std::size_t i = 0; i < steps; ++i) {
      EXPECT_NEAR(rows[i]["loss"].get<double>(), expected["loss"][i].get<double>(), 2e-4) << which << " step " << i;
      EXPECT_NEAR(rows[i]["grad_norm"].get<double>() / expected["grad_norm"][i].get<double>(), 1, 2e-3) << which;
    }
    if (steps < 2) return;
    for (const auto& [name, five] : expected["weights"].items()) {
      const auto ours = values(name, sft["probes"][name]);
      for (std::size_t i = 0; i < 5; ++i) EXPECT_NEAR(ours[i], five[i].get<double>(), 5e-6) << which << " " << name;
    }
  }
  const nlohmann::json sft = nlohmann::json::parse(read(GRPO_TEST_DATA "/sft.json"));
  Scratch dir;
};

TEST_F(Sft, EveryAssistantMessageAsTRL) {
  std::string data;
  for (const auto& messages : sft["messages"]) data += nlohmann::json{{"messages", messages}}.dump() + "\n";
  write(dir / "rows.jsonl", data);
  write(dir / "generation.jinja", sft["template"].get<std::string>());
  // Packed: the four rows have 154 tokens, which 3 x 52 hold, and a fifth does not fit.
  compare("assistant", 1,
          "data.messages_key=messages data.answer_key= sft.assistant_only_loss=true "
          "data.chat_template=generation.jinja sft.packing=true sft.batch_size=3 sft.max_length=52");
}

TEST_F(Sft, PromptsAndCompletionsAsTRL) {
  std::string data;
  for (const auto& pair : sft["pairs"]) data += pair.dump() + "\n";
  write(dir / "rows.jsonl", data);
  compare("completion", 2, "data.raw_prompt=true data.answer_key=completion");
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
