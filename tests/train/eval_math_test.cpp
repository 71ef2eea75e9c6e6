// configs/eval-math.yaml on the files themselves: every row has a prompt and an answer that a grader can use.
#include <gtest/gtest.h>

#include <grpo/kit/grading.hpp>

#include "grpo/sdk/config/config.hpp"
#include "grpo/sdk/data/prompt.hpp"
#include "grpo/sdk/text/template.hpp"
#include "support.hpp"

namespace grpo::train {
namespace {

data::Compile jinja() {
  return [](const std::string& source, const std::string& name) -> data::Render {
    return [compiled = text::Template(source, name)](const nlohmann::ordered_json& v) { return compiled.render(v); };
  };
}

TEST(EvalMath, EveryRowOfEverySetHasAPromptAndAnAnswer) {
  const auto config = config::load(config::Path(GRPO_SOURCE_DIR "/configs/eval-math.yaml"));
  const std::map<std::string, std::int64_t> rows = {{"gsm8k", 1319}, {"math500", 500},      {"aime24", 30},
                                                    {"amc23", 40},   {"minerva_math", 272}, {"olympiadbench", 675},
                                                    {"asdiv", 2215}, {"mawps", 2065},       {"svamp", 1000}};
  ASSERT_EQ(config.evaluation_datasets.size(), rows.size());
  for (std::size_t i = 0; i < config.evaluation_datasets.size(); ++i) {
    const auto& set = config.evaluation_datasets[i];
    ASSERT_TRUE(rows.contains(set.name)) << set.name;
    if (!std::filesystem::exists(set.path)) GTEST_SKIP() << set.path << " is not here";
    const auto options = data::PromptOptions::of_evaluation(config, i);
    const auto file = data::Dataset::open(set.path, {.required = options.required});
    EXPECT_EQ(file.size(), rows.at(set.name));
    const data::PromptBuilder builder(options, jinja());
    for (std::int64_t row = 0; row < file.size(); ++row) {
      const auto prompt = builder.build(file.row(row), "row");
      const auto gold = kit::extract_gold(prompt.ground_truth);
      ASSERT_FALSE(gold.empty()) << file.where(row);
      // The answer as a model would give it is right, by the very comparison that eval makes.
      ASSERT_TRUE(kit::answers_equal(gold, kit::extract_answer("\\boxed{" + gold + "}").value_or("")))
          << file.where(row) << " " << gold;
      ASSERT_LT(gold.size(), 250u) << file.where(row) << ": a solution, not an answer: " << gold;
      const auto content = nlohmann::json::parse(prompt.messages)[0]["content"].get<std::string>();
      ASSERT_GT(content.size(), 85u) << file.where(row);
    }
  }
}

// simpleRL's MATH-8K: `input` is the whole chat prompt, rendered already; only keys are needed.
TEST(EvalMath, ARenderedPromptIsTakenAsItIs) {
  Scratch dir;
  write(
      dir / "math8k.jsonl",
      R"({"input": "<|im_start|>system\nPlease reason step by step.<|im_end|>\n<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n", "question": "1+1?", "answer": "It is \\boxed{2}.", "gt_answer": "2", "subject": "Algebra", "level": 1, "target": "2"})"
      "\n");
  write(dir / "run.yaml", R"(data: {path: math8k.jsonl, prompt_key: input, answer_key: gt_answer, raw_prompt: true}
evaluation: {datasets: [{path: math8k.jsonl, prompt_key: question, answer_key: gt_answer, prompt_style: chat}]}
)");
  const auto config = config::load(dir / "run.yaml");
  const auto file = data::Dataset::open(config.data.path);
  const auto raw = data::PromptBuilder(data::PromptOptions::of_training(config)).build(file.row(0), "row");
  EXPECT_EQ(raw.messages, "");
  EXPECT_TRUE(raw.text.starts_with("<|im_start|>system\nPlease"));
  EXPECT_EQ(raw.ground_truth, "2");
  const auto chat = data::PromptBuilder(data::PromptOptions::of_evaluation(config, 0)).build(file.row(0), "row");
  EXPECT_EQ(chat.messages, R"([{"role":"user","content":"1+1?"}])");
}

}  // namespace
}  // namespace grpo::train
