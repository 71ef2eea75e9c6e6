// Whole runs of grpo-host on a tiny model with random weights: what lands on disk, resuming, what the numbers must
// satisfy.
#include <gtest/gtest.h>

#include <cmath>

#include "support.hpp"

namespace fs = std::filesystem;
using namespace e2e;

namespace {

const nlohmann::json& last(const std::vector<nlohmann::json>& rows) { return rows.back(); }

TEST(Train, WritesMetricsCheckpointAndLog) {
  Scratch dir;
  make_run(dir.path());
  const auto result = host("train --config run.yaml algorithm.kl_coefficient=0.1", dir.path());
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_NE(result.out.find("4/4"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("sample at step 2"), std::string::npos) << result.out;
  const auto rows = read_jsonl(dir / "out/metrics.jsonl");
  ASSERT_EQ(rows.size(), 4u);
  for (const char* name : {"reward",
                           "reward_std",
                           "rewards/length/mean",
                           "frac_reward_zero_std",
                           "completions/mean_length",
                           "completions/clipped_ratio",
                           "completions/max_terminated_length",
                           "prompt_length/mean",
                           "loss",
                           "kl",
                           "entropy",
                           "clip_ratio/region_mean",
                           "ratio/mean",
                           "ratio/max",
                           "grad_norm",
                           "learning_rate",
                           "advantage/mean",
                           "num_tokens",
                           "step_time",
                           "timing/rollout",
                           "timing/reward",
                           "timing/reference",
                           "timing/update",
                           "timing/optimizer",
                           "throughput/end_to_end_tokens_per_second",
                           "memory/rss_peak",
                           "sampling/logp_difference/mean",
                           "sampling/logp_difference/max"}) {
    ASSERT_TRUE(last(rows).contains(name)) << name;
    EXPECT_TRUE(last(rows)[name].is_number()) << name << ": " << last(rows)[name];
  }
  for (const auto& row : rows) {
    EXPECT_NEAR(row["ratio/mean"].get<double>(), 1, 1e-4);
    EXPECT_LT(row["sampling/logp_difference/max"].get<double>(), 1e-3);
    EXPECT_GT(row["grad_norm"].get<double>(), 0);
  }
  EXPECT_NEAR(rows.front()["kl"].get<double>(), 0, 1e-6);  // the policy starts as its reference
  EXPECT_GT(last(rows)["kl"].get<double>(), 0);
  for (const char* name : {"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json",
                           "optimizer.safetensors", "trainer_state.json", "run.yaml"})
    EXPECT_TRUE(fs::exists(dir / "out/checkpoint-4" / name)) << name;
  EXPECT_TRUE(fs::exists(dir / "out/run.log"));
}

TEST(Train, TheSameSeedGivesTheSameRun) {
  Scratch dir;
  make_run(dir.path());
  ASSERT_EQ(host("train --config run.yaml run.output_dir=one", dir.path()).status, 0);
  ASSERT_EQ(host("train --config run.yaml run.output_dir=two", dir.path()).status, 0);
  EXPECT_EQ(read(dir / "one/checkpoint-4/model.safetensors"), read(dir / "two/checkpoint-4/model.safetensors"));
  ASSERT_EQ(host("train --config run.yaml run.output_dir=three run.seed=4", dir.path()).status, 0);
  EXPECT_NE(read(dir / "one/checkpoint-4/model.safetensors"), read(dir / "three/checkpoint-4/model.safetensors"));
}

TEST(Train, ResumingGoesOnExactlyWhereItStopped) {
  Scratch dir;
  make_run(dir.path());
  const std::string whole = "train --config run.yaml run.max_steps=6 optimizer.schedule=constant";
  ASSERT_EQ(host(whole + " run.output_dir=whole", dir.path()).status, 0);
  ASSERT_EQ(host("train --config run.yaml run.max_steps=3 run.output_dir=parts", dir.path()).status, 0);
  const auto resumed = host(whole + " run.output_dir=parts run.resume=auto", dir.path());
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_NE(resumed.out.find("resumed from"), std::string::npos);
  EXPECT_EQ(read(dir / "whole/checkpoint-6/model.safetensors"), read(dir / "parts/checkpoint-6/model.safetensors"));
  EXPECT_EQ(read(dir / "whole/checkpoint-6/optimizer.safetensors"),
            read(dir / "parts/checkpoint-6/optimizer.safetensors"));
  const auto a = read_jsonl(dir / "whole/metrics.jsonl"), b = read_jsonl(dir / "parts/metrics.jsonl");
  ASSERT_EQ(b.size(), 6u);
  for (std::size_t i = 0; i < 6; ++i)
    for (const char* name : {"step", "epoch", "reward", "loss", "grad_norm", "num_tokens", "learning_rate"})
      EXPECT_EQ(a[i][name], b[i][name]) << "step " << i + 1 << " " << name;
}

TEST(Train, ResumingARunThatChangedIsRefused) {
  Scratch dir;
  make_run(dir.path());
  ASSERT_EQ(host("train --config run.yaml run.max_steps=1", dir.path()).status, 0);
  const auto changed = host("train --config run.yaml run.resume=auto algorithm.group_size=5", dir.path());
  EXPECT_EQ(changed.status, 1);
  EXPECT_NE(changed.err.find("algorithm.group_size was 4 and is now 5"), std::string::npos) << changed.err;
  const auto none = host("train --config run.yaml run.resume=must run.output_dir=elsewhere", dir.path());
  EXPECT_EQ(none.status, 1);
  EXPECT_NE(none.err.find("no checkpoint"), std::string::npos) << none.err;
}

TEST(Train, CheckpointsArePrunedAndMicroBatchingChangesNothingButRounding) {
  Scratch dir;
  make_run(dir.path());
  ASSERT_EQ(host("train --config run.yaml checkpoint.every_steps=1 checkpoint.keep=2", dir.path()).status, 0);
  EXPECT_FALSE(fs::exists(dir / "out/checkpoint-2"));
  EXPECT_TRUE(fs::exists(dir / "out/checkpoint-3"));
  EXPECT_TRUE(fs::exists(dir / "out/checkpoint-4"));
  const std::string one_step = "train --config run.yaml run.max_steps=1 algorithm.max_tokens_per_microbatch=";
  for (const char* objective : {"grpo", "dapo", "dr_grpo"}) {
    const std::string more = std::string(" algorithm.objective=") + objective;
    ASSERT_EQ(host(one_step + "0 run.output_dir=a" + more, dir.path()).status, 0);
    ASSERT_EQ(host(one_step + "12 run.output_dir=b" + more, dir.path()).status, 0);
    const auto a = read_jsonl(dir / "a/metrics.jsonl").front(), b = read_jsonl(dir / "b/metrics.jsonl").front();
    EXPECT_NEAR(a["grad_norm"].get<double>(), b["grad_norm"].get<double>(), 1e-4 * a["grad_norm"].get<double>())
        << objective;
    EXPECT_NEAR(a["loss"].get<double>(), b["loss"].get<double>(), 1e-6) << objective;
  }
}

// The model has room for what decoding 64 completions computes, and a step has 128: two pieces, neither computed again.
TEST(Train, AStepThatTheModelCannotHoldIsTrainedInPiecesAndChangesNothingButRounding) {
  Scratch dir;
  make_run(dir.path());
  const std::string run =
      "train --config run.yaml run.max_steps=3 algorithm.prompts_per_step=16 algorithm.group_size=8 "
      "optimizer.learning_rate=0.0001 ";
  ASSERT_EQ(host(run + "run.output_dir=whole model.options.activation_gib=0.1", dir.path()).status, 0);
  ASSERT_EQ(host(run + "run.output_dir=pieces model.options.activation_gib=0.0055", dir.path()).status, 0);
  const auto whole = read_jsonl(dir / "whole/metrics.jsonl"), pieces = read_jsonl(dir / "pieces/metrics.jsonl");
  ASSERT_EQ(pieces.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(pieces[i]["plugin/model/recorded"], 1) << "step " << i + 1;
    for (const char* name : {"reward", "loss", "grad_norm", "completions/mean_length", "advantage/std", "entropy"})
      EXPECT_NEAR(pieces[i][name].get<double>(), whole[i][name].get<double>(),
                  1e-4 * std::abs(whole[i][name].get<double>()) + 1e-7)
          << name << " at step " << i + 1;
  }
}

TEST(Train, IterationsAndMinibatchesMoveTheRatio) {
  Scratch dir;
  make_run(dir.path());
  for (const char* more : {"algorithm.iterations=3", "algorithm.minibatches=3"}) {
    const auto result =
        host(std::string("train --config run.yaml run.max_steps=1 optimizer.learning_rate=0.01 ") + more, dir.path());
    ASSERT_EQ(result.status, 0) << result.err;
    const auto row = read_jsonl(dir / "out/metrics.jsonl").back();
    EXPECT_GT(row["ratio/max"].get<double>(), 1.001) << more;
    fs::remove_all(dir / "out");
  }
}

TEST(Train, EvaluatesHeldOutProblems) {
  Scratch dir;
  make_run(dir.path());
  const auto result =
      host("train --config run.yaml evaluation.path=data.jsonl evaluation.max_samples=10 evaluation.every_steps=2",
           dir.path());
  ASSERT_EQ(result.status, 0) << result.err;
  const auto rows = read_jsonl(dir / "out/metrics.jsonl");
  ASSERT_EQ(rows.size(), 5u);  // step 0 is the evaluation before training
  EXPECT_TRUE(rows[0].contains("eval/accuracy"));
  EXPECT_FALSE(rows[1].contains("eval/accuracy"));
  EXPECT_TRUE(rows[2].contains("eval/accuracy"));
  EXPECT_EQ(rows[2]["eval/num_questions"], 10);
}

TEST(Eval, MeasuresACheckpointWithoutAConfiguration) {
  Scratch dir;
  make_run(dir.path());
  ASSERT_EQ(host("sft --config run.yaml sft.max_steps=2", dir.path()).status, 0);
  const auto result = host(
      "eval --model out/checkpoint-2 --data sums=data.jsonl --limit 4 --samples 2 --max-new-tokens 6 --output found "
      "data.raw_prompt=true data.prompt_template='{{ content }}'",
      dir.path());
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_NE(result.out.find("| dataset | num_questions | greedy_length | sample_length | greedy_acc | sample_pass@1 | "
                            "pass@8 | pass@16 |"),
            std::string::npos)
      << result.out;
  EXPECT_EQ(read_jsonl(dir / "found/completions.jsonl").size(), 4u * (1 + 2));
  EXPECT_EQ(nlohmann::json::parse(read(dir / "found/eval.json"))["datasets"][0]["dataset"], "sums");
  // The limit that a person says holds, in whichever of its two keys.
  const auto shorter = host(
      "eval --model out/checkpoint-2 --data sums=data.jsonl --limit 4 --output shorter sampler.max_new_tokens=3 "
      "data.raw_prompt=true data.prompt_template='{{ content }}'",
      dir.path());
  ASSERT_EQ(shorter.status, 0) << shorter.err;
  EXPECT_EQ(nlohmann::json::parse(read(dir / "shorter/eval.json"))["datasets"][0]["max_new_tokens"], 3);
  const auto nothing = host("eval --model out/checkpoint-2", dir.path());
  EXPECT_EQ(nothing.status, 1);
  EXPECT_NE(nothing.err.find("--data NAME=PATH"), std::string::npos) << nothing.err;
}

TEST(Sft, LearnsAndLeavesAModelThatGenerates) {
  Scratch dir;
  make_run(dir.path());
  const auto result = host("sft --config run.yaml sft.max_steps=120 sft.learning_rate=0.003", dir.path());
  ASSERT_EQ(result.status, 0) << result.err;
  const auto rows = read_jsonl(dir / "out/metrics.jsonl");
  EXPECT_LT(rows.back()["loss"].get<double>(), 0.5 * rows.front()["loss"].get<double>());
  const auto generated =
      host("generate --greedy --max-new-tokens 8 --model out/checkpoint-120", dir.path(), "{\"text\": \"37+53=\"}\n");
  ASSERT_EQ(generated.status, 0) << generated.err;
  EXPECT_EQ(lines(generated.out).front()["text"].get<std::string>().rfind("\\boxed{", 0), 0u) << generated.out;
}

TEST(Sft, ResumesExactly) {
  Scratch dir;
  make_run(dir.path());
  ASSERT_EQ(host("sft --config run.yaml sft.max_steps=4 run.output_dir=whole", dir.path()).status, 0);
  ASSERT_EQ(host("sft --config run.yaml sft.max_steps=2 run.output_dir=parts", dir.path()).status, 0);
  ASSERT_EQ(host("sft --config run.yaml sft.max_steps=4 run.output_dir=parts run.resume=must", dir.path()).status, 0);
  EXPECT_EQ(read(dir / "whole/checkpoint-4/model.safetensors"), read(dir / "parts/checkpoint-4/model.safetensors"));
}

TEST(Checkpoint, AFullDiskLeavesTheLastGoodOne) {
  Scratch dir;
  make_run(dir.path());
  ASSERT_EQ(host("train --config run.yaml run.max_steps=1", dir.path()).status, 0);
  const auto before = read(dir / "out/checkpoint-1/model.safetensors");
  // A limit on the size of files stands for a full disk: writing past it fails in the middle of the weights.
  const auto failed = shell("ulimit -f 200; '" GRPO_BINARY_DIR
                            "/bin/grpo-host' train --config run.yaml run.resume=auto run.max_steps=2",
                            dir.path());
  EXPECT_EQ(failed.status, 1) << failed.out << failed.err;
  EXPECT_NE(failed.err.find("model.safetensors"), std::string::npos) << failed.err;
  EXPECT_EQ(read(dir / "out/checkpoint-1/model.safetensors"), before);
  EXPECT_FALSE(fs::exists(dir / "out/checkpoint-2"));
  const auto again = host("train --config run.yaml run.resume=auto run.max_steps=2", dir.path());
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_TRUE(fs::exists(dir / "out/checkpoint-2"));
}

}  // namespace
