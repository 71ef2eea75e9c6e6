// Whole runs over the fake model: dynamic sampling, renewed references, preflight, recover checkpoints, two stages; and
// that each goes on after a stop as if there had been none.
#include <gtest/gtest.h>

#include "grpo/sdk/train/stage.hpp"
#include "support.hpp"

namespace grpo::train {
namespace fs = std::filesystem;
namespace {

class Around : public testing::Test {
 protected:
  void SetUp() override {
    copy_demo_model(dir / "model");
    std::string rows;
    for (int i = 0; i < 12; ++i)
      rows += nlohmann::json{{"prompt", std::to_string(i) + "+1="}, {"answer", i + 1}, {"solution", "1"}}.dump() + "\n";
    write(dir / "data.jsonl", rows);
    // bfloat16: that a run goes on exactly also shows that the full weights are there.
    write(dir / "run.yaml", R"(run: {output_dir: out, max_steps: 6, seed: 5}
data: {path: data.jsonl, raw_prompt: true}
model: {plugin: fake, path: model}
sampler: {max_new_tokens: 12, stop_token_ids: [0, 1, 2, 3, 4, 5, 6]}
rewards: [{plugin: length, options: {form: short, minimum: 1, maximum: 12}}]
algorithm: {group_size: 3, prompts_per_step: 2}
optimizer: {learning_rate: 0.05}
sft: {completion_key: solution, batch_size: 4, max_steps: 4}
checkpoint: {dtype: bfloat16}
)");
  }
  StageSettings settings(std::vector<std::string> overrides = {}, const std::string& out = "out") {
    overrides.push_back("run.output_dir=" + (dir / out).string());
    StageSettings s;
    s.config = config::load(dir / "run.yaml", overrides);
    s.plugin_directories = {GRPO_BINARY_DIR "/tests/fakes/fake_model.so", GRPO_PLUGIN_DIR "/sampler_local.so",
                            GRPO_PLUGIN_DIR "/optimizer_adamw.so", GRPO_PLUGIN_DIR "/reward_length.so"};
    return s;
  }
  std::vector<nlohmann::json> metrics(const std::string& run = "out") const { return metrics_of(dir / run); }
  // A run that is stopped after `step` and gone on with is the run that was not.
  void expect_same_after_a_stop(const std::vector<std::string>& overrides, int step,
                                const std::vector<std::string>& names) {
    train(settings(overrides, "whole"));
    auto stopping = settings(overrides, "parts");
    int steps = 0;
    stopping.on_step = [&](std::int64_t, const report::Metrics&) { ++steps; };
    stopping.stop = [&] { return steps == step - 1; };  // asked before the report of the step
    ASSERT_TRUE(train(stopping).interrupted);
    auto go_on = overrides;
    go_on.push_back("run.resume=must");
    train(settings(go_on, "parts"));
    const auto a = metrics("whole"), b = metrics("parts");
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i)
      for (const auto& name : names) {
        ASSERT_TRUE(a[i].contains(name)) << name;
        EXPECT_EQ(a[i][name], b[i][name]) << "step " << i + 1 << " " << name;
      }
    const std::string last = "checkpoint-" + std::to_string(a.size()) + "/optimizer.safetensors";
    EXPECT_TRUE(read(dir / "whole" / last) == read(dir / "parts" / last));
  }
  Scratch dir;
};

TEST_F(Around, DynamicSamplingFillsStepsAndGoesOnExactly) {
  const std::vector<std::string> on = {"algorithm.dynamic_sampling=mean", "algorithm.dynamic_sampling_low=0.2",
                                       "algorithm.dynamic_sampling_high=0.5", "algorithm.max_resamples=6"};
  expect_same_after_a_stop(on, 3,
                           {"loss", "reward", "epoch", "dynamic_sampling/prompts", "dynamic_sampling/resamples",
                            "dynamic_sampling/kept_share", "rewards/length/mean", "num_tokens"});
  double resamples = 0, prompts = 0;
  for (const auto& m : metrics("whole")) {
    resamples += m["dynamic_sampling/resamples"].get<double>();
    prompts += m["dynamic_sampling/prompts"].get<double>();
    EXPECT_NEAR(m["reward"].get<double>(), m["rewards/length/mean"].get<double>(), 1e-9);  // both of all that was drawn
  }
  EXPECT_GT(resamples, 0);
  EXPECT_NEAR(metrics("whole").back()["epoch"].get<double>(), prompts / 12, 1e-9);
}

TEST_F(Around, AStepWithoutGroupsLeavesTheWeights) {
  train(settings({"algorithm.dynamic_sampling=mean", "algorithm.dynamic_sampling_low=7",
                  "algorithm.dynamic_sampling_high=8", "algorithm.max_resamples=1", "run.max_steps=2"}));
  for (const auto& m : metrics()) {
    EXPECT_EQ(m["dynamic_sampling/prompts"], 4);
    EXPECT_EQ(m["dynamic_sampling/kept_share"], 0);
    EXPECT_EQ(m["grad_norm"], 0);
    EXPECT_GT(m["reward"].get<double>(), 0);
  }
  EXPECT_NE(read(dir / "out/run.log").find("0 of 4 prompts have groups worth training on"), std::string::npos);
}

TEST_F(Around, OverlongRulesReachTheReward) {
  train(settings({"run.max_steps=1"}, "none"));
  train(settings(
      {"run.max_steps=1", "algorithm.overlong=linear", "algorithm.overlong_buffer=4", "algorithm.overlong_penalty=2"},
      "linear"));
  const auto a = metrics("none")[0], b = metrics("linear")[0];
  EXPECT_LT(b["overlong/penalty"].get<double>(), 0);
  EXPECT_NEAR(b["reward"].get<double>(), a["reward"].get<double>() + b["overlong/penalty"].get<double>(), 1e-9);
  EXPECT_EQ(a["rewards/length/mean"], b["rewards/length/mean"]);
  train(settings({"run.max_steps=1", "algorithm.overlong=mask"}, "mask"));
  train(settings({"run.max_steps=1", "algorithm.mask_truncated_completions=true"}, "masked"));
  EXPECT_EQ(metrics("mask")[0]["grad_norm"], metrics("masked")[0]["grad_norm"]);
  EXPECT_NE(metrics("mask")[0]["grad_norm"], a["grad_norm"]);
}

TEST_F(Around, TheReferenceIsRenewedAndGoesOnExactly) {
  const std::vector<std::string> copy = {"algorithm.kl_coefficient=0.5", "reference.refresh_every_steps=2",
                                         "optimizer.learning_rate=0.5"};
  train(settings(copy));
  const auto m = metrics();
  EXPECT_NEAR(m[0]["kl"].get<double>(), 0, 1e-6);
  EXPECT_GT(m[1]["kl"].get<double>(), 1e-4);  // a step away from the reference
  EXPECT_NEAR(m[2]["kl"].get<double>(), 0, 1e-6);
  EXPECT_GT(m[3]["kl"].get<double>(), 1e-4);
  EXPECT_NEAR(m[4]["kl"].get<double>(), 0, 1e-6);
  auto mixed = copy;
  mixed.emplace_back("reference.ref_model_mixup_alpha=0.5");
  for (const int step : {2, 3}) {  // just after a renewal, and between two
    expect_same_after_a_stop(mixed, step, {"loss", "kl", "reward", "grad_norm"});
    fs::remove_all(dir / "whole");
    fs::remove_all(dir / "parts");
  }
  const auto text = error_of([&] { train(settings({"reference.refresh_every_steps=2"})); });
  EXPECT_NE(text.find("algorithm.kl_coefficient is 0"), std::string::npos) << text;
}

TEST_F(Around, PreflightWarnsStopsOrKeepsQuiet) {
  const std::vector<std::string> equal = {
      "rewards=[{plugin: length, options: {form: short, minimum: 100, maximum: 200}}]", "run.max_steps=1"};
  const auto with = [&](const std::string& mode) {
    auto o = equal;
    o.push_back("run.preflight=" + mode);
    return settings(o, mode);
  };
  train(with("warn"));
  EXPECT_NE(read(dir / "warn/run.log").find("preflight: the first 6 completions all have the same reward"),
            std::string::npos);
  train(with("off"));
  EXPECT_EQ(read(dir / "off/run.log").find("preflight:"), std::string::npos);
  const auto text = error_of([&] { train(with("stop")); });
  EXPECT_NE(text.find("run.preflight: stop: the first 6 completions"), std::string::npos) << text;
  EXPECT_FALSE(fs::exists(dir / "stop/checkpoint-1"));
  train(settings({"algorithm.ratio=sequence", "run.max_steps=1"}, "sequence"));
  EXPECT_NE(read(dir / "sequence/run.log").find("preflight: algorithm.clip_low (default): ratios are clipped under"),
            std::string::npos);
  // It changes nothing.
  EXPECT_EQ(metrics("warn")[0]["completions/mean_length"], metrics("off")[0]["completions/mean_length"]);
}

TEST_F(Around, SavesByEpochsAndOneRecoverCheckpoint) {
  // Six steps an epoch.
  const std::vector<std::string> often = {"checkpoint.save_freq_epochs=0.5", "checkpoint.ckpt_freq_steps=2",
                                          "checkpoint.final=false", "run.max_steps=5"};
  std::vector<std::string> seen;
  auto s = settings(often);
  s.on_checkpoint = [&](const fs::path& path) { seen.push_back(path.filename().string()); };
  train(s);
  EXPECT_EQ(seen, (std::vector<std::string>{"recover-2", "checkpoint-3", "recover-4"}));
  EXPECT_FALSE(fs::exists(dir / "out/recover-2"));
  EXPECT_TRUE(fs::exists(dir / "out/checkpoint-3"));
  EXPECT_TRUE(fs::exists(dir / "out/recover-4"));
  auto rest = settings({"run.resume=auto", "run.max_steps=6", "checkpoint.keep=1", "checkpoint.every_steps=1"});
  std::string from;
  rest.on_checkpoint = [&](const fs::path& path) { from = from.empty() ? path.filename().string() : from; };
  train(rest);
  EXPECT_EQ(from, "recover-4");
  EXPECT_FALSE(fs::exists(dir / "out/recover-4"));  // the last checkpoint is newer
  train(settings({}, "whole"));
  EXPECT_TRUE(read(dir / "whole/checkpoint-6/optimizer.safetensors") ==
              read(dir / "out/checkpoint-6/optimizer.safetensors"));
  train(settings({"checkpoint.save_freq_secs=1e-9", "checkpoint.keep=0"}, "timed"));
  for (int step = 1; step <= 6; ++step) EXPECT_TRUE(fs::exists(dir / ("timed/checkpoint-" + std::to_string(step))));
}

TEST_F(Around, EvaluationByEpochs) {
  train(settings({"evaluation.path=" + (dir / "data.jsonl").string(), "evaluation.at_start=false",
                  "evaluation.every_epochs=0.5"}));
  const auto m = metrics();
  for (std::size_t i = 0; i < m.size(); ++i) EXPECT_EQ(m[i].contains("eval/accuracy"), i == 2 || i == 5) << i + 1;
}

TEST_F(Around, WhatChangedIsAllNamed) {
  train(settings({"run.max_steps=1", "run.name=first"}));
  const auto text = error_of([&] {
    train(settings({"run.resume=auto", "run.name=second", "algorithm.group_size=4", "algorithm.prompts_per_step=3"}));
  });
  for (const char* change : {"run.name was first and is now second", "algorithm.group_size was 3 and is now 4",
                             "algorithm.prompts_per_step was 2 and is now 3"})
    EXPECT_NE(text.find(change), std::string::npos) << text;
  auto state = nlohmann::json::parse(read(dir / "out/checkpoint-1/trainer_state.json"));
  state["fixed"]["world_size"] = "8";
  write(dir / "out/checkpoint-1/trainer_state.json", state.dump());
  const auto world = error_of([&] { train(settings({"run.resume=auto", "run.name=first"})); });
  EXPECT_NE(world.find("world_size was 8 and is now 1"), std::string::npos) << world;
}

TEST_F(Around, TimesAndTheEpochLine) {
  train(settings());
  const auto m = metrics();
  EXPECT_GT(m[0]["time/remaining"].get<double>(), 0);
  EXPECT_EQ(m[5]["time/remaining"], 0);
  EXPECT_GT(m[5]["time/total"].get<double>(), m[0]["time/total"].get<double>());
  EXPECT_NE(read(dir / "out/run.log").find("Epoch 1/1 step 6/6 (global step 6): end-to-end "), std::string::npos);
  train(settings({"run.resume=auto", "run.max_steps=7"}));
  EXPECT_GT(metrics().back()["time/total"].get<double>(), m[5]["time/total"].get<double>());  // counted on
}

TEST_F(Around, SftThenGrpoGoesOnInTheMiddleOfEither) {
  const std::vector<std::string> both = {"run.stages=[sft, train]"};
  const auto whole = train(settings(both, "whole"));
  EXPECT_EQ(whole.checkpoint->string(), (dir / "whole/train/checkpoint-6").string());
  EXPECT_EQ(metrics("whole/sft").size(), 4u);
  EXPECT_EQ(metrics("whole/train").size(), 6u);
  for (const int stop_after : {2, 4 + 3}) {
    const std::string out = "stop" + std::to_string(stop_after);
    auto s = settings(both, out);
    int steps = 0;
    s.on_step = [&](std::int64_t, const report::Metrics&) { ++steps; };
    s.stop = [&] { return steps == stop_after - 1; };
    EXPECT_TRUE(train(s).interrupted);
    EXPECT_EQ(fs::exists(dir / out / "train"), stop_after > 4);
    train(settings({"run.stages=[sft, train]", "run.resume=must"}, out));
    for (const char* last : {"sft/checkpoint-4", "train/checkpoint-6"})
      EXPECT_TRUE(read(dir / "whole" / last / "optimizer.safetensors") ==
                  read(dir / out / last / "optimizer.safetensors"))
          << out << " " << last;
  }
  // A new run over an old one: the old second stage is not taken for the new one's.
  auto again = settings(both, "whole");
  int steps = 0;
  again.on_step = [&](std::int64_t, const report::Metrics&) { ++steps; };
  again.stop = [&] { return steps == 1; };
  train(again);
  EXPECT_FALSE(fs::exists(dir / "whole/train/checkpoint-6"));
  EXPECT_TRUE(fs::exists(dir / "whole/train/earlier-1/checkpoint-6"));
  const auto twice = error_of([&] { train(settings({"run.stages=[sft, sft]"})); });
  EXPECT_NE(twice.find("stands there twice"), std::string::npos) << twice;
}

TEST_F(Around, AChainDrivenFromOutsideEndsWhereItIsTold) {
  auto s = settings({"run.stages=[sft, train]"});
  int asked = 0;
  s.next = [&](bool more) {
    EXPECT_TRUE(more || asked >= 10) << asked;
    return ++asked <= 2 ? Next::step : Next::end;
  };
  train(s);
  EXPECT_EQ(metrics("out/sft").size(), 2u);
  EXPECT_FALSE(fs::exists(dir / "out/train"));
}

TEST_F(Around, SftHasDataOfItsOwn) {
  write(dir / "taught.jsonl", "{\"question\": \"1+1=\", \"solution\": \"2\"}\n");
  sft(settings({"sft.path=" + (dir / "taught.jsonl").string(), "sft.prompt_key=question", "sft.max_steps=2"}));
  EXPECT_EQ(metrics().back()["epoch"], 8);
}

}  // namespace
}  // namespace grpo::train
