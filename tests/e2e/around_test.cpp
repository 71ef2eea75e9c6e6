// What surrounds the algorithm, on a real model: a run that is stopped anywhere goes on as if it had not been, with a
// renewed reference, dynamic sampling, recover checkpoints and two stages.
#include <gtest/gtest.h>

#include "support.hpp"

namespace fs = std::filesystem;
using namespace e2e;

namespace {

const std::string around =
    " run.stages='[sft, train]' sft.max_steps=10 sft.learning_rate=0.003 algorithm.dynamic_sampling=varied"
    " algorithm.max_resamples=3 algorithm.kl_coefficient=0.04 reference.refresh_every_steps=2"
    " reference.mixup_alpha=0.6 algorithm.overlong=linear algorithm.overlong_buffer=3 checkpoint.ckpt_freq_steps=2"
    " checkpoint.keep=1 rewards='[{plugin: length, options: {form: short, minimum: 1, maximum: 6}}]'";

TEST(Around, TwoStagesGoOnExactlyAfterAKill) {
  Scratch dir;
  make_run(dir.path());
  const std::string run = "train --config run.yaml run.max_steps=7" + around;
  const auto whole = host(run + " run.output_dir=whole report.epoch_line=true", dir.path());
  ASSERT_EQ(whole.status, 0) << whole.err;
  EXPECT_NE(whole.out.find("stage 1 of 2: sft"), std::string::npos) << whole.out;
  EXPECT_NE(whole.out.find("Epoch 1/1 step 7/7 (global step 7): end-to-end "), std::string::npos) << whole.out;
  // A copy of the run as a kill after step 5 leaves it: the last thing on disk is recover-4.
  ASSERT_EQ(host("train --config run.yaml run.max_steps=5 checkpoint.final=false" + around + " run.output_dir=parts",
                 dir.path())
                .status,
            0);
  ASSERT_TRUE(fs::exists(dir / "parts/train/recover-4/reference.safetensors"));
  ASSERT_FALSE(fs::exists(dir / "parts/train/checkpoint-5"));
  const auto resumed = host(run + " run.output_dir=parts run.resume=auto", dir.path());
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_NE(resumed.out.find("recover-4"), std::string::npos) << resumed.out;
  EXPECT_FALSE(fs::exists(dir / "parts/train/recover-6"));
  for (const char* file : {"model.safetensors", "optimizer.safetensors", "reference.safetensors"})
    EXPECT_TRUE(read(dir / "whole/train/checkpoint-7" / file) == read(dir / "parts/train/checkpoint-7" / file)) << file;
  const auto a = read_jsonl(dir / "whole/train/metrics.jsonl"), b = read_jsonl(dir / "parts/train/metrics.jsonl");
  ASSERT_EQ(b.size(), 7u);
  for (std::size_t i = 0; i < 7; ++i)
    for (const char* name : {"reward", "loss", "kl", "epoch", "dynamic_sampling/prompts", "overlong/penalty"})
      EXPECT_EQ(a[i][name], b[i][name]) << "step " << i + 1 << " " << name;
}

TEST(Around, PreflightStopsBeforeTheFirstUpdate) {
  Scratch dir;
  make_run(dir.path());
  const auto stopped =
      host("train --config run.yaml run.preflight=stop rewards='[{plugin: format, options: {pattern: \"never\"}}]'",
           dir.path());
  EXPECT_EQ(stopped.status, 1);
  EXPECT_NE(stopped.err.find("its pattern \"never\" fits none of the first 12 completions"), std::string::npos)
      << stopped.err;
  EXPECT_FALSE(fs::exists(dir / "out/checkpoint-1"));
}

}  // namespace
