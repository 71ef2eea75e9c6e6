// What supervised training learns of a row, and how rows make up steps.
#include "../../sdk/src/train/sft_examples.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "grpo/sdk/train/stage.hpp"
#include "support.hpp"

namespace grpo::train {
namespace fs = std::filesystem;
namespace {

// Digits and signs are the demo tokenizer's alphabet; a turn ends with <|end|>.
constexpr const char* plain =
    "{% for m in messages %}{{ m.role == 'user' and '+' or '=' }}{{ m.content }}{% if m.role == 'assistant' %}<|end|>"
    "{% endif %}+{% endfor %}{% if add_generation_prompt %}={% endif %}";
constexpr const char* marked =
    "{% for m in messages %}{% if m.role == 'assistant' %}={% generation %}{{ m.content }}<|end|>{% endgeneration %}+"
    "{% else %}+{{ m.content }}+{% endif %}{% endfor %}{% if add_generation_prompt %}={% endif %}";
constexpr const char* forgetful =  // says of earlier answers only that there was one
    "{% for m in messages %}{% if m.role == 'assistant' and not loop.last %}=0<|end|>+{% else %}+{{ m.content }}"
    "<|end|>+{% endif %}{% endfor %}{% if add_generation_prompt %}={% endif %}";

class SftTest : public testing::Test {
 protected:
  void SetUp() override {
    copy_demo_model(dir / "model");
    write(
        dir / "chat.jsonl",
        R"({"messages": [{"role": "user", "content": "1"}, {"role": "assistant", "content": "22"}, {"role": "user", "content": "3"}, {"role": "assistant", "content": "4"}]})"
        "\n"
        R"({"messages": [{"role": "user", "content": "55555"}, {"role": "assistant", "content": "6"}]})"
        "\n");
    std::string rows;
    for (int i = 0; i < 9; ++i)
      rows +=
          nlohmann::json{{"prompt", "1+1="}, {"answer", std::string(static_cast<std::size_t>(1 + i % 3), '2')}}.dump() +
          "\n";
    write(dir / "data.jsonl", rows);
    write(dir / "run.yaml", R"(run: {output_dir: out, seed: 5}
data: {path: data.jsonl, raw_prompt: true}
model: {plugin: fake, path: model}
sft: {batch_size: 2, max_steps: 3, learning_rate: 0.05}
checkpoint: {final: false}
)");
  }
  StageSettings settings(const std::vector<std::string>& overrides = {}) {
    StageSettings s;
    s.config = config::load(dir / "run.yaml", overrides);
    s.plugin_directories = {GRPO_BINARY_DIR "/tests/fakes/fake_model.so", GRPO_PLUGIN_DIR "/sampler_local.so",
                            GRPO_PLUGIN_DIR "/optimizer_adamw.so"};
    return s;
  }
  std::vector<nlohmann::json> metrics() const { return metrics_of(dir / "out"); }
  // The learnt tokens of a row of chat.jsonl in brackets: "+1+=[22<|end|>]+".
  std::string learnt(const char* chat_template, std::int64_t row, std::int64_t max_length = 64,
                     std::vector<std::string> overrides = {"sft.assistant_only_loss=true"}) {
    write(dir / "t.jinja", chat_template);
    overrides.insert(overrides.end(), {"data.raw_prompt=false", "data.messages_key=messages", "data.answer_key="});
    const auto config = config::load(dir / "run.yaml", overrides);
    const auto text = std::make_shared<const ModelText>(ModelText::load(dir / "model", dir / "t.jinja"));
    const Example e = SftExamples(text, config, dir / "chat.jsonl", -1, max_length).example(row);
    std::string out;
    for (std::size_t i = 0; i < e.ids.size(); ++i) {
      const bool before = i > 0 && e.learnt[i - 1];
      if (e.learnt[i] && !before) out += "[";
      if (!e.learnt[i] && before) out += "]";
      out += text->tokenizer.decode(std::span(&e.ids[i], 1));
    }
    return out + (e.learnt.back() ? "]" : "");
  }
  Scratch dir;
};

TEST_F(SftTest, EveryAssistantMessageIsLearntToItsEndOfTurn) {
  const std::string both = "+1+=[22<|end|>]++3+=[4<|end|>]+";
  EXPECT_EQ(learnt(plain, 0), both) << "found by rendering one message more";
  EXPECT_EQ(learnt(marked, 0), both) << "told by the template";
  EXPECT_EQ(learnt(marked, 0, 7), "+1+=[22<|end|>]") << "a long one loses its end";
  EXPECT_EQ(learnt(marked, 0, 64, {}), "+1+=22<|end|>++3+=[4<|end|>]") << "by default the last message alone";
  const auto text = error_of([&] { learnt(forgetful, 0); });
  EXPECT_NE(text.find("chat.jsonl:1: message 1"), std::string::npos) << text;
  EXPECT_NE(text.find("{% generation %}"), std::string::npos) << text;
  EXPECT_NE(error_of([&] {
              learnt(plain, 0, 64, {"sft.assistant_only_loss=true", "sft.completion_key=x"});
            }).find("sft.completion_key"),
            std::string::npos);
}

TEST_F(SftTest, PackedStepsHoldAsManySequencesAsTheirTokens) {
  // Sequences of 6, 7, 8 tokens in turn (with <|end|>); 2 x 8 hold 6 + 7 or 8 + 6 or 7 + 8.
  sft(settings({"sft.packing=true", "sft.max_length=8", "data.shuffle=false", "sft.max_steps=-1"}));
  const auto rows = metrics();
  ASSERT_EQ(rows.size(), 5u) << "nine sequences, two a step, one is left";
  double sequences = 0;
  for (const auto& row : rows) sequences += row["num_sequences"].get<double>();
  EXPECT_GE(sequences, 9);
  EXPECT_EQ(rows[0]["num_sequences"], 2);
  EXPECT_EQ(rows[0]["num_tokens"], 13);
  EXPECT_EQ(rows[1]["num_tokens"], 13 + 14);
}

TEST_F(SftTest, PackingAndMicroBatchesLeaveTheLossAlone) {
  const auto loss = [&](const std::vector<std::string>& overrides) {
    sft(settings(overrides));
    return metrics().front()["loss"].get<double>();
  };
  const double all = loss({"sft.batch_size=3", "data.shuffle=false"});
  EXPECT_NEAR(loss({"sft.batch_size=3", "data.shuffle=false", "algorithm.max_tokens_per_microbatch=1"}), all, 1e-6);
  EXPECT_NEAR(loss({"sft.packing=true", "sft.batch_size=3", "sft.max_length=8", "data.shuffle=false"}), all, 1e-6)
      << "3 x 8 tokens hold the same three sequences";
}

TEST_F(SftTest, HeldOutLossIsTheMeanOverTokens) {
  const std::string held_out = "sft.eval_path=" + (dir / "data.jsonl").string();
  sft(settings({held_out, "sft.eval_steps=2", "sft.batch_size=9"}));
  const auto rows = metrics();
  ASSERT_EQ(rows.size(), 4u) << "before the first step, and three";
  EXPECT_EQ(rows[0]["step"], 0);
  EXPECT_FALSE(rows[1].contains("eval/loss"));
  EXPECT_TRUE(rows[2].contains("eval/loss"));
  // The first step trains on exactly these nine rows: the loss that it starts from is theirs.
  EXPECT_NEAR(rows[0]["eval/loss"].get<double>(), rows[1]["loss"].get<double>(), 1e-6);
  EXPECT_LT(rows[3]["eval/loss"].get<double>(), rows[0]["eval/loss"].get<double>());
  EXPECT_NE(error_of([&] { sft(settings({"sft.eval_path=/none.jsonl"})); }).find("sft.eval_path"), std::string::npos);
}

}  // namespace
}  // namespace grpo::train
