// Whole stages in this process, over the fake model, the local sampler and adamw.
#include "grpo/sdk/train/stage.hpp"

#include <gtest/gtest.h>

#include "grpo/sdk/train/session.hpp"
#include "support.hpp"

namespace grpo::train {
namespace fs = std::filesystem;
namespace {

class Stage : public testing::Test {
 protected:
  void SetUp() override {
    copy_demo_model(dir / "model");
    std::string rows;
    for (int i = 0; i < 12; ++i) {
      const auto n = std::to_string(i);
      rows +=
          nlohmann::json{{"prompt", n + "+1="}, {"answer", std::to_string(i + 1)}, {"solution", "1" + n}}.dump() + "\n";
    }
    write(dir / "data.jsonl", rows);
    write(dir / "run.yaml", R"(run: {output_dir: out, max_steps: 4, seed: 5}
data: {path: data.jsonl, raw_prompt: true}
model: {plugin: fake, path: model}
sampler: {max_new_tokens: 5}
rewards: [{plugin: length, options: {form: short, minimum: 1, maximum: 5}}]
algorithm: {group_size: 3, prompts_per_step: 2}
optimizer: {learning_rate: 0.01}
sft: {completion_key: solution, batch_size: 4, max_steps: 3}
checkpoint: {dtype: bfloat16}
)");
  }
  StageSettings settings(const std::vector<std::string>& overrides = {}) {
    StageSettings s;
    s.config = config::load(dir / "run.yaml", overrides);
    s.plugin_directories = {GRPO_BINARY_DIR "/tests/fakes/fake_model.so",
                            GRPO_BINARY_DIR "/tests/plugins/test_moody_rewards.so", GRPO_PLUGIN_DIR "/sampler_local.so",
                            GRPO_PLUGIN_DIR "/optimizer_adamw.so", GRPO_PLUGIN_DIR "/reward_length.so"};
    return s;
  }
  std::vector<nlohmann::json> metrics(const std::string& run = "out") const { return metrics_of(dir / run); }
  Scratch dir;
};

// What logprobs, generate and eval open keeps no gradients, unless the configuration asks for them.
TEST_F(Stage, AModelIsFrozenUnlessItIsTrained) {
  const auto frozen = [&](Needs needs, const std::vector<std::string>& overrides = {}) {
    const auto s = settings(overrides);
    Session session(s.config, s.plugin_directories, needs);
    return (session.model().parameters()[0]->flags & GRPO_PARAMETER_FROZEN) != 0;
  };
  EXPECT_TRUE(frozen({}));
  EXPECT_TRUE(frozen({.sampler = true}));
  EXPECT_FALSE(frozen({.sampler = true, .optimizer = true}));
  EXPECT_FALSE(frozen({}, {"model.options.trainable=true"}));
}

TEST_F(Stage, StopFinishesTheStepWritesACheckpointAndResumingEndsLikeAWholeRun) {
  const auto whole = train(settings({"run.output_dir=" + (dir / "whole").string()}));
  EXPECT_FALSE(whole.interrupted);
  auto stopping = settings();
  int steps = 0;
  stopping.on_step = [&](std::int64_t, const report::Metrics&) { ++steps; };
  stopping.stop = [&] { return steps == 2 || steps == 1; };  // asked before the report of step 2: ends after it
  const auto stopped = train(stopping);
  EXPECT_TRUE(stopped.interrupted);
  EXPECT_EQ(stopped.steps, 2);
  ASSERT_TRUE(stopped.checkpoint);
  EXPECT_EQ(stopped.checkpoint->filename(), "checkpoint-2");
  EXPECT_EQ(train(settings({"run.resume=must"})).steps, 4);
  // The checkpoints are bfloat16: equality also shows that the full weights were restored.
  EXPECT_EQ(read(dir / "whole/checkpoint-4/optimizer.safetensors"),
            read(dir / "out/checkpoint-4/optimizer.safetensors"));
  const auto a = metrics("whole"), b = metrics();
  ASSERT_EQ(b.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(a[i]["loss"], b[i]["loss"]) << i;
}

TEST_F(Stage, AStopBeforeTheFirstStepWritesNothing) {
  auto s = settings();
  s.stop = [] { return true; };
  const auto result = train(s);
  EXPECT_TRUE(result.interrupted);
  EXPECT_FALSE(result.checkpoint);
  EXPECT_FALSE(fs::exists(dir / "out/checkpoint-0"));
}

TEST_F(Stage, ARefusedRunLeavesItsDirectoryAsItWas) {
  const std::string place = "run.output_dir=" + (dir / "new/out").string();
  const auto text = error_of([&] { train(settings({place, "data.prompt_key=nothing"})); });
  EXPECT_NE(text.find("has no column"), std::string::npos) << text;
  EXPECT_FALSE(fs::exists(dir / "new"));
  train(settings({place}));
  const auto log = read(dir / "new/out/run.log"), yaml = read(dir / "new/out/run.yaml");
  error_of([&] { train(settings({place, "data.prompt_key=nothing"})); });
  EXPECT_EQ(read(dir / "new/out/run.log"), log);
  EXPECT_EQ(read(dir / "new/out/run.yaml"), yaml);
  EXPECT_TRUE(fs::exists(dir / "new/out/checkpoint-4"));
  EXPECT_FALSE(fs::exists(dir / "new/out/earlier-1"));
}

TEST_F(Stage, PathsAmongOptionsReachPluginAndRunYamlAbsolute) {
  train(settings({"run.max_steps=1", "rewards=[{plugin: moody, options: {file: ~/a, text: b}}]"}));
  const auto yaml = read(dir / "out/run.yaml");
  EXPECT_NE(yaml.find("\"file\":\"/"), std::string::npos) << yaml;
  EXPECT_NE(yaml.find("\"text\":\"b\""), std::string::npos) << yaml;
}

TEST_F(Stage, MfuIsReportedWhereAPeakIsGiven) {
  train(settings({"run.max_steps=1"}));
  EXPECT_FALSE(metrics().front().contains("mfu"));
  train(settings({"run.max_steps=1", "report.peak_tflops=0.001"}));
  const auto m = metrics().front();
  ASSERT_TRUE(m.contains("mfu")) << m;
  Session session(settings().config, settings().plugin_directories, {});
  const double per_token = session.model().info().flops_per_token;
  ASSERT_GT(per_token, 0);
  EXPECT_NEAR(m["mfu"].get<double>(), 3 * per_token * m["throughput/update_tokens_per_second"].get<double>() / 1e9,
              1e-9 * m["mfu"].get<double>());
  sft(settings({"report.peak_tflops=0.001"}));
  EXPECT_TRUE(metrics().front().contains("mfu"));
}

TEST_F(Stage, WritesItsReportSamplesAndEventFilesAndGoesOnWithThem) {
  const std::vector<std::string> wanted = {"report.tensorboard=true", "report.metric_names=[verl, mindspeed]",
                                           "report.samples_every=2", "report.samples=1", "report.html_every_seconds=0"};
  auto first = wanted;
  first.push_back("run.max_steps=3");
  auto s = settings(first);
  int pages = 0;
  s.on_step = [&](std::int64_t, const report::Metrics&) {
    pages += read(dir / "out/report.html").find("\"status\":\"running\"") != std::string::npos;
  };
  train(s);
  EXPECT_EQ(pages, 3) << "the page is there while the run goes on";
  auto second = wanted;
  second.push_back("run.resume=must");
  train(settings(second));

  const auto rows = metrics();
  ASSERT_EQ(rows.size(), 4u);
  for (const auto& row : rows) {
    EXPECT_EQ(row["critic/score/mean"], row["reward"]);
    EXPECT_LE(row["reward_min"], row["reward"]);
    EXPECT_GE(row["reward_max"], row["reward"]);
    EXPECT_EQ(row["num_completions"], 6);
    double parts = 0;
    for (const char* part : {"rollout", "old_log_p", "update", "reference_model", "resharding_to_train",
                             "resharding_to_infer", "non_overlap_reference_model", "non_overlap_rule_reward"})
      parts += row[std::string("timing/") + part].get<double>();
    EXPECT_GE(row["timing/all"].get<double>(), parts);
    EXPECT_GT(row["e2e_tps"].get<double>(), 0);
  }
  std::ifstream in(dir / "out/samples.jsonl");
  std::vector<nlohmann::json> samples;
  for (std::string line; std::getline(in, line);) samples.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(samples.size(), 6u) << "two steps, one whole group each";
  EXPECT_EQ(samples.back()["step"], 4);
  EXPECT_EQ(samples.back()["index"], 2);
  EXPECT_TRUE(samples.back()["rewards"].contains("length"));
  double sum = 0;
  for (std::size_t i = 0; i < 3; ++i) sum += samples[i]["advantage"].get<double>();
  EXPECT_NEAR(sum, 0, 1e-9);

  const auto facts = nlohmann::json::parse(read(dir / "out/run.json"));
  EXPECT_EQ(facts["status"], "finished");
  EXPECT_EQ(facts["resumed"], "checkpoint-3");
  EXPECT_EQ(facts["steps_total"], 4);
  EXPECT_EQ(facts["components"].size(), 4u) << facts.dump(2);
  const auto page = read(dir / "out/report.html");
  EXPECT_NE(page.find("\"last\":4"), std::string::npos);
  EXPECT_NE(page.find("\"status\":\"finished\""), std::string::npos);
  const auto event_files = [](const fs::path& folder) {
    return std::count_if(fs::directory_iterator(folder), {}, [](const fs::directory_entry& e) {
      return e.path().filename().string().starts_with("events.out.tfevents.");
    });
  };
  EXPECT_EQ(event_files(dir / "out"), 2);
  EXPECT_NE(read(dir / "out/run.log").find("Epoch 1/1 step 4/4 (global step 4): "), std::string::npos)
      << read(dir / "out/run.log");

  train(settings({"run.max_steps=1", "report.html=false"}));
  EXPECT_EQ(event_files(dir / "out"), 0) << "an earlier run's curves are not this one's";
  EXPECT_EQ(event_files(dir / "out/earlier-1"), 2);
  for (const char* name : {"samples.jsonl", "report.html", "run.json", "run.yaml"})
    EXPECT_TRUE(fs::exists(dir / "out/earlier-1" / name)) << name;
  EXPECT_FALSE(fs::exists(dir / "out/report.html"));
}

TEST_F(Stage, ANewRunInTheSamePlaceSetsTheOldOneAside) {
  train(settings());
  train(settings({"run.max_steps=1"}));
  EXPECT_TRUE(fs::exists(dir / "out/earlier-1/checkpoint-4"));
  EXPECT_TRUE(fs::exists(dir / "out/checkpoint-1"));
  EXPECT_EQ(metrics().size(), 1u);
  EXPECT_EQ(metrics("out/earlier-1").size(), 4u);
  const auto inside = error_of([&] { train(settings({"model.path=" + (dir / "out/checkpoint-1").string()})); });
  EXPECT_NE(inside.find("lies in run.output_dir"), std::string::npos) << inside;
}

TEST_F(Stage, ResumingIsRefusedWhenTheOrderOfTheDataWouldBeAnother) {
  train(settings({"run.max_steps=1"}));
  write(dir / "data.jsonl", read(dir / "data.jsonl") + "{\"prompt\": \"1+1=\", \"answer\": \"2\"}\n");
  const auto text = error_of([&] { train(settings({"run.resume=must"})); });
  EXPECT_NE(text.find("the data had 12 usable rows and has now 13"), std::string::npos) << text;
}

TEST_F(Stage, WhatCannotTrainIsRefusedBeforeAnythingIsLoaded) {
  const auto refusal = [&](const std::string& override) { return error_of([&] { train(settings({override})); }); };
  EXPECT_NE(refusal("sampler.temperature=0").find("sampler.temperature: 0 is greedy"), std::string::npos)
      << refusal("sampler.temperature=0");
  EXPECT_NE(refusal("algorithm.minibatches=3").find("algorithm.prompts_per_step"), std::string::npos);
  EXPECT_NE(refusal("sampler.min_new_tokens=6").find("sampler.max_new_tokens"), std::string::npos);
  EXPECT_FALSE(fs::exists(dir / "out/metrics.jsonl"));
}

TEST_F(Stage, EvaluationDoesNotDependOnTheBatchSizeAndTakesItsOwnColumnTypes) {
  std::string rows;
  for (int i = 0; i < 5; ++i) rows += nlohmann::json{{"prompt", "2+2="}, {"answer", i}}.dump() + "\n";  // numbers here
  write(dir / "test.jsonl", rows);
  std::vector<nlohmann::json> seen;
  for (const char* batch : {"1", "2", "64"}) {
    train(settings({"run.max_steps=1", "evaluation.path=" + (dir / "test.jsonl").string(), "evaluation.samples=3",
                    "evaluation.temperature=1", std::string("evaluation.batch_size=") + batch}));
    seen.push_back(metrics().front());
    EXPECT_TRUE(seen.back()["eval/reward"].is_number()) << seen.back();
    EXPECT_TRUE(seen.back().contains("eval/pass@3"));
    EXPECT_EQ(seen.back()["eval/num_questions"], 5);
    for (const char* name : {"eval/reward", "eval/accuracy", "eval/pass@3", "eval/completions/mean_length"})
      EXPECT_EQ(seen.back()[name], seen.front()[name]) << name;
  }
}

TEST_F(Stage, ARewardThatNeverAppliesEndsTheRun) {
  auto s = settings();
  s.config.rewards[0].weight = 0;
  const auto text = error_of([&] { train(s); });
  EXPECT_NE(text.find("no completion got a reward"), std::string::npos) << text;
  EXPECT_NE(read(dir / "out/run.log").find("error " + text), std::string::npos) << "its end is not in its log";
  EXPECT_EQ(nlohmann::json::parse(read(dir / "out/run.json"))["status"], "failed");
  EXPECT_NE(read(dir / "out/report.html").find("\"status\":\"failed\""), std::string::npos);
}

TEST_F(Stage, SftLearnsTheColumnAndIfAskedThePrompt) {
  const std::vector<std::string> longer = {"sft.max_steps=40", "sft.learning_rate=0.05"};
  sft(settings(longer));
  const auto alone = metrics();
  ASSERT_EQ(alone.size(), 40u);
  EXPECT_LT(alone.back()["loss"].get<double>(), alone.front()["loss"].get<double>());
  sft(settings({"sft.completion_only_loss=false"}));
  EXPECT_NE(metrics().front()["loss"], alone.front()["loss"]);
  EXPECT_EQ(metrics().front()["num_tokens"], alone.front()["num_tokens"]);  // the same tokens, more of them targets
  const auto text = error_of([&] { sft(settings({"sft.completion_key=nothing"})); });
  EXPECT_NE(text.find("sft.completion_key"), std::string::npos) << text;
}

TEST_F(Stage, PromptsThatAreTooLongFollowThePolicy) {
  write(dir / "data.jsonl",
        "{\"prompt\": \"1+1=\", \"answer\": \"2\"}\n{\"prompt\": \"11111111+1=\", \"answer\": \"2\"}\n");
  const std::string limit = "data.max_prompt_length=6";
  const auto error = error_of([&] { train(settings({limit})); });
  EXPECT_NE(error.find("data.jsonl:2"), std::string::npos) << error;
  train(settings({limit, "data.overlong_prompts=drop"}));
  EXPECT_EQ(metrics().back()["prompt_length/max"], 4);
  train(settings({limit, "data.overlong_prompts=truncate_left"}));
  EXPECT_EQ(metrics().back()["prompt_length/max"], 6);
  const auto none = error_of([&] { train(settings({"data.max_prompt_length=2", "data.overlong_prompts=drop"})); });
  EXPECT_NE(none.find("every prompt is longer"), std::string::npos) << none;
}

}  // namespace
}  // namespace grpo::train
