// Every gold answer of the data sets: found again in a sentence, equal to itself, and not equal to its neighbours.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <grpo/kit/grading.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace {
using grpo::kit::answers_equal;
using grpo::kit::extract_answer;
using grpo::kit::extract_gold;
using nlohmann::json;

// The gold answers of a file, by the keys that the sets use.
std::vector<std::string> golds(const std::string& path) {
  std::vector<std::string> out;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const auto row = json::parse(line);
    for (const char* key : {"answer", "final_answer", "target", "Answer", "solution"}) {
      if (!row.contains(key)) continue;
      const auto& value = row[key];
      const std::string text = value.is_string()  ? value.get<std::string>()
                               : value.is_array() ? value.at(0).get<std::string>()
                                                  : value.dump();
      out.push_back(extract_gold(text));
      break;
    }
  }
  return out;
}

class Data : public testing::TestWithParam<std::pair<const char*, std::size_t>> {};

TEST_P(Data, GoldEqualsItself) {
  const auto [name, size] = GetParam();
  const std::string path = std::string(GRPO_SHARED_DATA "/") + name;
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
  const auto all = golds(path);
  ASSERT_EQ(all.size(), size);
  std::size_t neighbours = 0, different = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string sentence = "We add up, so the result is $\\boxed{" + all[i] + "}$.";
    const auto answer = extract_answer(sentence);
    ASSERT_TRUE(answer) << all[i];
    EXPECT_TRUE(answers_equal(all[i], *answer)) << all[i];
    const std::string& next = all[(i + 1) % all.size()];
    if (next == all[i]) continue;
    ++neighbours;
    different += !answers_equal(all[i], next);
  }
  // Neighbours that are spelled differently and equal all the same ("5 (feet)", "5 (days)") are rare.
  EXPECT_GE(different, neighbours * 98 / 100);
}

INSTANTIATE_TEST_SUITE_P(All, Data,
                         testing::Values(std::pair{"gsm8k/train.jsonl", 7473u}, std::pair{"gsm8k/test.jsonl", 1319u},
                                         std::pair{"eval/math500.jsonl", 500u}, std::pair{"eval/aime24.jsonl", 30u},
                                         std::pair{"eval/amc23.jsonl", 40u}, std::pair{"eval/asdiv.jsonl", 2215u},
                                         std::pair{"eval/mawps.jsonl", 2065u},
                                         std::pair{"eval/minerva_math.jsonl", 272u},
                                         std::pair{"eval/olympiadbench.jsonl", 675u},
                                         std::pair{"eval/svamp.jsonl", 1000u}));

}  // namespace
