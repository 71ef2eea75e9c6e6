// The data sets that users bring. Skipped where they are not at hand; the samples beside this file are always read.
#include <grpo/reward.h>

#include <grpo/sdk/data/prompt.hpp>

#include "files.hpp"

using namespace grpo::data;
using json = nlohmann::ordered_json;

namespace {

struct Set {
  const char *name, *prompt, *answer;
  std::int64_t rows;
  const char* first_answer;  // "": only its presence is checked
  std::int32_t answer_type;
};

const Set sets[] = {
    {"eval/aime24.jsonl", "problem", "answer", 30, "204", GRPO_COLUMN_TEXT},
    {"eval/amc23.jsonl", "question", "answer", 40, "27.0", GRPO_COLUMN_NUMBER},
    {"eval/asdiv.jsonl", "question", "answer", 2215, "9 (apples)", GRPO_COLUMN_TEXT},
    {"eval/math500.jsonl", "problem", "answer", 500, "\\left( 3, \\frac{\\pi}{2} \\right)", GRPO_COLUMN_TEXT},
    {"eval/mawps.jsonl", "input", "target", 2065, "43.0", GRPO_COLUMN_NUMBER},
    {"eval/minerva_math.jsonl", "problem", "solution", 272, "", GRPO_COLUMN_TEXT},
    {"eval/olympiadbench.jsonl", "question", "final_answer", 675, "2", GRPO_COLUMN_JSON},
    {"eval/svamp.jsonl", "Question", "Answer", 1000, "145.0", GRPO_COLUMN_NUMBER},
    {"gsm8k/train.jsonl", "question", "answer", 7473, "", GRPO_COLUMN_TEXT},
    {"gsm8k/test.jsonl", "question", "answer", 1319, "", GRPO_COLUMN_TEXT},
};

PromptOptions options_of(const Set& set) {
  return {.prompt_key = set.prompt, .answer_key = set.answer, .required = {set.prompt, set.answer}};
}

}  // namespace

class RealData : public testing::TestWithParam<Set> {};

TEST_P(RealData, OpensWithItsKeys) {
  const Set& set = GetParam();
  const std::filesystem::path path = std::filesystem::path(GRPO_SHARED_DATA) / set.name;
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not here";
  const PromptOptions options = options_of(set);
  const Dataset data = Dataset::open(path, {.required = options.required});
  EXPECT_EQ(data.size(), set.rows);
  EXPECT_EQ(data.column_types().at(set.answer), set.answer_type);
  const PromptBuilder builder(options);
  for (std::int64_t i = 0; i < data.size(); ++i) {
    const Prompt prompt = builder.build(data.row(i), "row " + std::to_string(i));
    ASSERT_FALSE(prompt.ground_truth.empty()) << i;
    ASSERT_GT(json::parse(prompt.messages)[0]["content"].get<std::string>().size(), 5u) << i;
    if (i == 0 && *set.first_answer) {
      EXPECT_EQ(prompt.ground_truth, set.first_answer);
    }
  }
  EXPECT_EQ(data.where(data.size() - 1), path.string() + ":" + std::to_string(set.rows));
}

INSTANTIATE_TEST_SUITE_P(Sets, RealData, testing::ValuesIn(sets), [](const auto& info) {
  std::string name = info.param.name;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
});

// Shapes of the sets above in a few made-up rows: numbers as answers, nulls, nested lists, the last line unfinished.
TEST(SampleData, ShapesOfRealSets) {
  const Dataset numbers = Dataset::open(GRPO_TEST_DATA "/samples/numbers.jsonl", {.required = {"Question", "Answer"}});
  const PromptBuilder builder({.prompt_key = "Question", .answer_key = "Answer"});
  ASSERT_EQ(numbers.size(), 3);
  EXPECT_EQ(builder.build(numbers.row(0), "").ground_truth, "145.0");
  EXPECT_EQ(builder.build(numbers.row(1), "").ground_truth, "0.5");
  EXPECT_EQ(builder.build(numbers.row(2), "").ground_truth, "-3");
  EXPECT_EQ(numbers.column_types().at("Answer"), GRPO_COLUMN_NUMBER);

  const Dataset lists = Dataset::open(GRPO_TEST_DATA "/samples/lists.json", {.required = {"question", "final_answer"}});
  const PromptBuilder list_builder({.prompt_key = "question", .answer_key = "final_answer"});
  ASSERT_EQ(lists.size(), 2);
  EXPECT_EQ(list_builder.build(lists.row(0), "").ground_truth, "$2 \\sqrt{3}$");
  EXPECT_EQ(list_builder.build(lists.row(1), "").ground_truth, R"(["4","-4"])");
  EXPECT_EQ(lists.column_types().at("context"), GRPO_COLUMN_TEXT);  // only nulls
  EXPECT_EQ(lists.column_types().at("is_multiple_answer"), GRPO_COLUMN_JSON);
  EXPECT_EQ(lists.where(1), GRPO_TEST_DATA "/samples/lists.json:10");
}
