// Evaluation: its arithmetic against Python's, the table, and whole evaluations over the fake model.
#include "grpo/sdk/train/evaluate.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "grpo/sdk/train/best_of.hpp"
#include "support.hpp"

namespace grpo::train {
namespace fs = std::filesystem;
namespace {

TEST(Evaluation, PassAtKAndStandardErrorsAreThoseOfPython) {
  const auto golden = nlohmann::json::parse(read(GRPO_TEST_DATA "/pass_at_k.json"));
  for (const auto& c : golden["pass_at_k"]) EXPECT_NEAR(pass_at_k(c[0], c[1], c[2]), c[3].get<double>(), 1e-12) << c;
  for (const auto& c : golden["standard_error"]) {
    const auto values = c[0].get<std::vector<double>>();
    const Estimate e = mean_of(values);
    EXPECT_NEAR(e.value, c[1].get<double>(), 1e-15);
    EXPECT_NEAR(e.stderr_, c[2].get<double>(), 1e-15);
  }
  EXPECT_TRUE(std::isnan(mean_of({}).value));
}

TEST(Evaluation, BestAndWorstAndMajorityAreThoseOfVerl) {
  const auto golden = nlohmann::json::parse(read(GRPO_TEST_DATA "/best_of.json"));
  int compared = 0, split = 0;
  for (const auto& q : golden["questions"]) {
    std::vector<std::int64_t> votes;
    for (const std::string said : q["pred"]) votes.push_back(said.back());
    const auto accuracy = q["acc"].get<std::vector<double>>(), reward = q["reward"].get<std::vector<double>>();
    for (const auto& e : q["expected"]) {
      const BestOf a = best_of(accuracy, votes, e[0]), r = best_of(reward, votes, e[0]);
      const std::vector<double> ours = {a.best, a.worst, a.majority, r.best, r.worst, r.majority};
      for (std::size_t i = 0; i < ours.size(); ++i, ++compared)
        EXPECT_NEAR(ours[i], e[i + 1].get<double>(), 1e-12) << q["pred"] << " " << e;
      split += a.majority > 0 && a.majority < 1;
    }
  }
  EXPECT_EQ(compared, 6 * 22);
  EXPECT_GT(split, 8);
  EXPECT_TRUE(std::isnan(best_of(std::vector<double>{no_value}, {}, 2).best));
}

TEST(Evaluation, CompletionsVoteForWhatTheyAnswer) {
  const std::vector<std::string_view> said = {"so \\boxed{1,000}", "none", "\\boxed{ 1000 }", "the answer is 7",
                                              "nor here"};
  EXPECT_EQ(votes_of(said), (std::vector<std::int64_t>{0, 1, 0, 2, 1}));
}

// The lines of AReaL's own documentation.
TEST(Evaluation, TheTableIsThatOfAReaL) {
  DatasetResult d;
  d.name = "math_500";
  d.questions = d.rows = 500;
  d.samples = 16;
  d.greedy.emplace();
  d.greedy->mean_length = 6757.4;
  d.greedy->accuracy.value = 0.844;
  d.sampled.emplace();
  d.sampled->mean_length = 4139.5;
  d.sampled->accuracy.value = 0.927;
  d.pass_at = {{8, {0.973, 0}}, {16, {0.977, 0}}};
  Evaluation evaluation;
  evaluation.complete = true;
  evaluation.datasets.push_back(d);
  const std::vector<std::int64_t> ks{8, 16};
  EXPECT_EQ(
      table(evaluation, ks),
      "+----------+---------------+---------------+---------------+------------+---------------+--------+---------+\n"
      "| dataset  | num_questions | greedy_length | sample_length | greedy_acc | sample_pass@1 | pass@8 | pass@16 |\n"
      "+----------+---------------+---------------+---------------+------------+---------------+--------+---------+\n"
      "| math_500 |      500      |     6757.4    |     4139.5    |    84.4    |      92.7     |  97.3  |   97.7  |\n"
      "+----------+---------------+---------------+---------------+------------+---------------+--------+---------+\n");
  evaluation.datasets[0].questions = 40;
  evaluation.datasets[0].pass_at.clear();
  evaluation.datasets[0].greedy.reset();
  const auto part = table(evaluation, ks);
  EXPECT_NE(part.find("40*"), std::string::npos) << part;
  EXPECT_NE(part.find("|   -    |"), std::string::npos) << part;
}

class Evaluating : public testing::Test {
 protected:
  void SetUp() override {
    copy_demo_model(dir / "model");
    std::string a, b;
    for (int i = 0; i < 5; ++i) {
      a += nlohmann::json{{"prompt", std::to_string(i) + "+1="}, {"answer", i}}.dump() + "\n";
      b += nlohmann::json{{"input", std::to_string(i) + "+2="}, {"gold", std::to_string(i + 2)}}.dump() + "\n";
    }
    write(dir / "a.jsonl", a);
    write(dir / "b.jsonl", b);
    write(dir / "run.yaml", R"(run: {seed: 5}
data: {raw_prompt: true}
model: {plugin: fake, path: model}
sampler: {max_new_tokens: 5}
rewards: [{plugin: length, options: {form: short, minimum: 1, maximum: 5}}]
evaluation:
  samples: 4
  temperature: 1
  pass_k: [1, 2, 8]
  best_of: [8, 2, 2]
  datasets: [a.jsonl, {path: b.jsonl, name: bee, prompt_key: input, answer_key: gold, max_samples: 3, samples: 2, max_new_tokens: 3}]
)");
  }
  Evaluation run(const std::vector<std::string>& overrides = {}, std::function<bool()> stop = nullptr) {
    Session session(config::load(dir / "run.yaml", overrides),
                    {GRPO_BINARY_DIR "/tests/fakes/fake_model.so", GRPO_PLUGIN_DIR "/sampler_local.so",
                     GRPO_PLUGIN_DIR "/reward_length.so"},
                    {.sampler = true, .rewards = true});
    Evaluator evaluator(session);
    auto scorer = session.make_scorer({});
    EvaluateOptions options;
    options.stop = std::move(stop);
    options.save_to = dir / "out";
    return evaluator.evaluate(*scorer, options);
  }
  std::vector<nlohmann::json> completions() const {
    std::vector<nlohmann::json> all;
    std::ifstream in(dir / "out/completions.jsonl");
    for (std::string line; std::getline(in, line);) all.push_back(nlohmann::json::parse(line));
    return all;
  }
  Scratch dir;
};

TEST_F(Evaluating, SetsHaveTheirOwnColumnsAndLimitsAndEveryCompletionIsSaved) {
  const Evaluation found = run();
  ASSERT_EQ(found.datasets.size(), 2u);
  EXPECT_TRUE(found.complete);
  const auto &a = found.datasets[0], &b = found.datasets[1];
  EXPECT_EQ(a.questions, 5);
  EXPECT_EQ(b.name, "bee");
  EXPECT_EQ(b.questions, 3);
  EXPECT_EQ(b.samples, 2);
  EXPECT_LE(b.sampled->mean_length, 3);
  const auto rows = completions();
  ASSERT_EQ(rows.size(), 5u * (1 + 4) + 3u * (1 + 2));
  // What is told follows from what is saved.
  double right = 0, length = 0, n = 0;
  std::map<int, int> right_of;
  for (const auto& row : rows)
    if (row["dataset"] == "a" && row["way"] == "sample") {
      right += row["right"].get<bool>(), length += row["length"].get<double>(), ++n;
      right_of[row["row"].get<int>()] += row["right"].get<bool>();
      EXPECT_EQ(row["right"], row["scores"]["length"].get<double>() > 0.5);
    }
  EXPECT_EQ(n, 20);
  EXPECT_NEAR(a.sampled->accuracy.value, right / n, 1e-12);
  EXPECT_NEAR(a.sampled->mean_length, length / n, 1e-12);
  std::vector<double> pass;
  for (const auto& [row, c] : right_of) pass.push_back(pass_at_k(4, c, 2));
  ASSERT_EQ(a.pass_at.size(), 3u) << "1, 2 and all four; 8 is out of reach";
  EXPECT_EQ(a.pass_at[1].first, 2);
  EXPECT_NEAR(a.pass_at[1].second.value, mean_of(pass).value, 1e-12);
  EXPECT_NEAR(a.pass_at[0].second.value, a.sampled->accuracy.value, 1e-12);
  ASSERT_EQ(a.best_of.size(), 1u) << "8 is out of reach";
  const BestOfN& two = a.best_of[0];
  EXPECT_EQ(two.n, 2);
  EXPECT_NEAR(two.accuracy_best.value, mean_of(pass).value, 0.2) << "with replacement, by draws";
  EXPECT_LT(two.reward_worst.value, a.sampled->reward);
  EXPECT_GT(two.reward_best.value, a.sampled->reward);
  EXPECT_EQ(metrics_of(found).find("eval/a/reward_best@2"), two.reward_best.value);
  const auto json = nlohmann::json::parse(read(dir / "out/eval.json"));
  EXPECT_EQ(json["datasets"][0]["best_of"]["2"]["accuracy_majority"]["value"], two.majority.value);
  EXPECT_EQ(json["complete"], true);
  EXPECT_EQ(json["datasets"][1]["sampled"]["completions"], 6);
  EXPECT_NE(json["table"].get<std::string>().find("bee"), std::string::npos);
}

TEST_F(Evaluating, ASetDoesNotDependOnBatchesOrTheSetsBesideIt) {
  const auto texts = [&](const std::vector<std::string>& overrides) {
    run(overrides);
    std::multiset<std::string> out;
    for (const auto& row : completions())
      if (row["dataset"] == "bee") out.insert(row.dump());
    return out;
  };
  const auto both = texts({});
  EXPECT_EQ(both.size(), 9u);
  EXPECT_EQ(texts({"evaluation.batch_size=2"}), both);
  EXPECT_EQ(
      texts({"evaluation.datasets=[{path: " + (dir / "b.jsonl").string() +
             ", name: bee, prompt_key: input, answer_key: gold, max_samples: 3, samples: 2, max_new_tokens: 3}]"}),
      both);
}

TEST_F(Evaluating, StoppingKeepsWhatIsDone) {
  int asked = 0;
  const Evaluation found = run({"evaluation.batch_size=2"}, [&] { return ++asked > 2; });
  EXPECT_FALSE(found.complete);
  ASSERT_EQ(found.datasets.size(), 1u);
  EXPECT_EQ(found.datasets[0].questions, 4);
  EXPECT_EQ(completions().size(), 4u * 5);
  EXPECT_EQ(nlohmann::json::parse(read(dir / "out/eval.json"))["complete"], false);
}

TEST_F(Evaluating, MetricsOfSeveralSetsAndOfOne) {
  const auto both = metrics_of(run());
  EXPECT_EQ(both.get("eval/num_questions"), 8);
  EXPECT_NEAR(both.get("eval/accuracy"), (both.get("eval/a/accuracy") + both.get("eval/bee/accuracy")) / 2, 1e-12);
  EXPECT_TRUE(both.find("eval/a/pass@4"));
  EXPECT_TRUE(both.find("eval/a/greedy_accuracy"));
  EXPECT_TRUE(both.find("eval/bee/accuracy_strict"));
  const auto greedy = metrics_of(run({"evaluation.temperature=0", "evaluation.samples=1",
                                      "evaluation.datasets=[{path: " + (dir / "a.jsonl").string() + "}]"}));
  EXPECT_FALSE(greedy.find("eval/a/accuracy"));
  EXPECT_FALSE(greedy.find("eval/greedy_accuracy")) << "the only way is the main one";
  EXPECT_TRUE(greedy.find("eval/accuracy_stderr"));
}

TEST_F(Evaluating, MistakesNameTheirKey) {
  const auto refusal = [&](const std::string& set) {
    return error_of([&] { run({"evaluation.datasets=[" + set + "]"}); });
  };
  const std::string a = "path: " + (dir / "a.jsonl").string();
  EXPECT_NE(refusal("{" + a + ", prompt_key: q}").find("evaluation.datasets.0.prompt_key"), std::string::npos);
  EXPECT_NE(refusal("{" + a + ", prompt_style: chat}").find("chat template"), std::string::npos);
  EXPECT_NE(refusal("{" + a + ", max_new_tokens: 100000}").find("evaluation.datasets.0.max_new_tokens"),
            std::string::npos);
}

}  // namespace
}  // namespace grpo::train
