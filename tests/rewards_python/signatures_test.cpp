// The same functions, called by the plugin and in a Python process as their trainers do: the same numbers, to the bit.
#include <cmath>
#include <cstdio>
#include <fstream>

#include "support.hpp"

namespace rewards_python_test {
namespace {

std::vector<Row> rows_of(const json& table) {
  std::vector<Row> out;
  for (const json& row : table)
    out.push_back({row["columns"], row["completions"], row["prompt"],
                   row["messages"].is_string() ? row["messages"].get<std::string>() : row["messages"].dump(),
                   row["truth"], row["ids"]});
  return out;
}

void expect_scores(const grpo_test::plugins::RewardScores& got, const json& expected, const std::string& name,
                   bool as_float) {
  ASSERT_EQ(got.score.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (expected[i].is_null()) {
      EXPECT_EQ(got.status[i], GRPO_SAMPLE_NOT_APPLICABLE) << name << " " << i << got.message[i];
      continue;
    }
    EXPECT_EQ(got.status[i], GRPO_SAMPLE_OK) << name << " " << i << ": " << got.message[i];
    const double x = as_float ? static_cast<double>(static_cast<float>(got.score[i])) : got.score[i];
    EXPECT_EQ(x, expected[i].get<double>()) << name << " " << i;
  }
}

json golden() {
  std::ifstream file(GRPO_TEST_DATA "/trl.json");
  return json::parse(file);
}

using Signatures = Python;

// TRL keeps rewards as fp32.
TEST_F(Signatures, AsTrlsOwnTrainer) {
  for (const json& part : golden())
    for (const auto& [name, rewards] : part["rewards"].items()) {
      OpenReward reward("python", options_of("signatures.py:" + name));
      expect_scores(reward.score(rows_of(part["rows"])), rewards, name, true);
    }
}

TEST_F(Signatures, AsTheSameFunctionInProcess) {
  json task = {{"rows", golden()[0]["rows"]}};
  const json kwargs = {{"format_weight", 0.25}}, bonus = {{"bonus", 3}}, none = json::object();
  task["functions"] = {{"easy", {{"style", "easyr1"}, {"kwargs", kwargs}}},
                       {"easy_batch", {{"style", "easyr1 batch"}, {"kwargs", kwargs}}},
                       {"verl", {{"style", "verl"}, {"kwargs", none}}},
                       {"verl_extra", {{"style", "verl"}, {"kwargs", bonus}}},
                       {"verl_batch", {{"style", "verl batch"}, {"kwargs", bonus}}},
                       {"trl_plain", {{"style", "trl"}, {"kwargs", none}}},
                       {"trl_group", {{"style", "trl"}, {"kwargs", none}}}};
  const std::string in = testing::TempDir() + "python_reward_task.json", out = in + ".out";
  std::ofstream(in) << task.dump();
  ASSERT_EQ(std::system(("python3 " GRPO_TEST_DATA "/in_process.py < " + in + " > " + out).c_str()), 0);
  std::ifstream file(out);
  const json expected = json::parse(file);
  for (const auto& [name, scores] : expected.items()) {
    OpenReward reward("python", options_of("signatures.py:" + name, {{"kwargs", task["functions"][name]["kwargs"]}}));
    expect_scores(reward.score(rows_of(task["rows"])), scores, name, false);
  }
}

TEST_F(Signatures, PartsBecomeComponents) {
  OpenReward easy("python", options_of("signatures.py:easy"));
  const auto got = easy.score({sample("<a", "<a"), sample("b", "c")});
  EXPECT_EQ(got.components.at("format"), (std::vector<double>{1, 0}));
  EXPECT_EQ(got.components.at("accuracy"), (std::vector<double>{1, 0}));
  EXPECT_EQ(got.components.at("length"), (std::vector<double>{2, 1}));
  EXPECT_FALSE(got.components.contains("overall")) << "that is the score";
  EXPECT_EQ(got.score[0], 0.9 * 1 + 0.1 * 1);

  OpenReward verl("python", options_of("signatures.py:verl"));
  Row row = sample("x", "x");
  row.columns = {{"data_source", "dict"}};
  const auto parts = verl.score({row}).components;
  EXPECT_EQ(parts.at("acc"), std::vector<double>{1});
  EXPECT_FALSE(parts.contains("pred")) << "a text is no component";
}

TEST_F(Signatures, EasyR1ByItsConstants) {
  OpenReward reward("python", options_of("old_easyr1.py", {{"kwargs", {{"given", 5}}}}));
  const auto got = reward.score({sample("abc")});
  EXPECT_EQ(got.score[0], 3);
  EXPECT_EQ(got.components.at("given")[0], 5);
}

// In `grpo-host score` nobody has told the tokens: a wrong length would be worse than none.
TEST_F(Signatures, NoIdsNoLength) {
  OpenReward reward("python", options_of("signatures.py:easy"));
  Row row = sample("abc");
  row.ids.clear();
  EXPECT_NE(reward.score({row}).message[0].find("KeyError: 'response_length'"), std::string::npos);
  row.columns = {{"response_length", 17}};
  EXPECT_EQ(reward.score({row}).components.at("length")[0], 17);
}

TEST_F(Signatures, VerlsOwnColumns) {
  OpenReward reward("python", options_of("signatures.py:verl"));
  Row row = sample("7");
  row.columns = {{"reward_model", {{"ground_truth", "7"}, {"style", "rule"}}}, {"data_source", "gsm8k"}};
  EXPECT_EQ(reward.score({row}).score[0], 1) << "the truth of verl's data sets lies in a column";
  OpenReward extra("python", options_of("signatures.py:verl_extra"));
  row.columns = {{"index", 4}};
  EXPECT_EQ(extra.score({row}).score[0], 4) << "without a column extra_info it is all columns";
}

TEST_F(Signatures, ATruthUnderTheNameThatIsAskedFor) {
  OpenReward reward("python", options_of("signatures.py:trl_strict"));
  EXPECT_EQ(reward.score({sample("yes", "yes"), sample("no", "yes")}).score, (std::vector<double>{1, 0}));
}

TEST_F(Signatures, MessagesOrNot) {
  Row row = sample("abc");
  OpenReward never("python", options_of("signatures.py:trl_async", {{"conversational", "never"}}));
  row.messages = R"([{"role":"user","content":"hi"}])";
  EXPECT_EQ(never.score({row}).score[0], 3);
  row.messages = "";
  OpenReward always("python", options_of("signatures.py:trl_chat", {{"conversational", "always"}}));
  EXPECT_EQ(always.score({row}).score[0], 1);
}

// A judge that is waited for: all samples of a call at once, each failing alone.
TEST_F(Signatures, AsynchronousSamplesAtOnce) {
  OpenReward reward("python", options_of("signatures.py:verl_async"));
  std::vector<std::string> texts(40, "four");
  texts[7] = "bad";
  const auto before = std::chrono::steady_clock::now();
  const auto got = reward.score(samples(texts));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
  EXPECT_LT(seconds, 40 * 0.2 / 2) << "one after the other takes 8 s";
  EXPECT_EQ(got.count(GRPO_SAMPLE_OK), 39);
  EXPECT_NE(got.message[7].find("the judge hung up"), std::string::npos) << got.message[7];
}

// Text of any kind arrives as it is.
TEST_F(Signatures, AnyText) {
  OpenReward reward("python", options_of("signatures.py:trl_async"));
  const std::string huge(3'000'000, 'x');
  const auto got = reward.score(samples({"", std::string("a\0b", 3), "\xf0\x9f\x98\x80\xe2\x80\xa8\"\\\n", huge}));
  EXPECT_EQ(got.score, (std::vector<double>{0, 3, 5, 3e6}));
}

}  // namespace
}  // namespace rewards_python_test
