// Training adapters: what is saved, resumed, exported, and compared with as reference.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "support.hpp"

namespace fs = std::filesystem;
using namespace e2e;

namespace {

class Lora : public testing::Test {
 protected:
  // A base model on disk, for an adapter stands beside one.
  void SetUp() override {
    make_run(dir.path());
    ASSERT_EQ(host("train --config run.yaml run.max_steps=1 run.output_dir=first", dir.path()).status, 0);
    fs::rename(dir / "first/checkpoint-1", dir / "base");
  }
  Result train(const std::string& more) {
    return host("train --config run.yaml model.path=base model.init=checkpoint " + more, dir.path());
  }
  double logprob(const std::string& model) {
    const auto result = host("logprobs --model " + model, dir.path(), R"({"ids": [1, 2, 3, 4, 5, 6, 7]})");
    EXPECT_EQ(result.status, 0) << result.err;
    const auto values = lines(result.out).front()["logprobs"].get<std::vector<double>>();
    return std::accumulate(values.begin(), values.end(), 0.0);
  }

  const std::string lora = "'model.lora={rank: 4, targets: [q_proj, v_proj, down_proj]}' ";
  Scratch dir;
};

TEST_F(Lora, IsSavedAsPeftReadsItAndExportsMerged) {
  const auto result = train(lora + "run.output_dir=out run.max_steps=3 algorithm.kl_coefficient=0.1");
  ASSERT_EQ(result.status, 0) << result.err;
  const fs::path saved = dir / "out/checkpoint-3";
  EXPECT_FALSE(fs::exists(saved / "model.safetensors"));
  ASSERT_TRUE(fs::exists(saved / "adapter_model.safetensors"));
  const auto config = nlohmann::json::parse(read(saved / "adapter_config.json"));
  EXPECT_EQ(config["peft_type"], "LORA");
  EXPECT_EQ(config["r"], 4);
  EXPECT_EQ(config["lora_alpha"], 8);
  EXPECT_EQ(config["target_modules"], nlohmann::json::parse(R"(["down_proj", "q_proj", "v_proj"])"));
  EXPECT_EQ(fs::path(config["base_model_name_or_path"].get<std::string>()), fs::canonical(dir / "base"));

  ASSERT_EQ(host("export out/checkpoint-3 merged --dtype float32", dir.path()).status, 0);
  EXPECT_TRUE(fs::exists(dir / "merged/model.safetensors"));
  EXPECT_FALSE(fs::exists(dir / "merged/adapter_config.json"));
  EXPECT_NEAR(logprob("merged"), logprob("out/checkpoint-3"), 1e-4);
  EXPECT_GT(std::abs(logprob("base") - logprob("merged")), 1e-3);

  // The reference is the base, without a second model: no KL at first, some later.
  const auto rows = read_jsonl(dir / "out/metrics.jsonl");
  EXPECT_NEAR(rows.front()["kl"].get<double>(), 0, 1e-6);
  EXPECT_GT(rows.back()["kl"].get<double>(), 1e-5);
}

TEST_F(Lora, ResumesExactly) {
  for (const std::string dropout : {"0", "0.2"}) {
    const std::string whole = "'model.lora={rank: 4, dropout: " + dropout + "}' run.max_steps=4 ";
    ASSERT_EQ(train(whole + "run.output_dir=whole").status, 0);
    ASSERT_EQ(train(whole + "run.output_dir=parts run.max_steps=2 checkpoint.dtype=bfloat16").status, 0);
    const auto resumed = train(whole + "run.output_dir=parts run.resume=must");
    ASSERT_EQ(resumed.status, 0) << resumed.err;
    for (const char* file : {"adapter_model.safetensors", "optimizer.safetensors"})
      EXPECT_EQ(read(dir / "whole/checkpoint-4" / file), read(dir / "parts/checkpoint-4" / file)) << file << dropout;
  }
}

TEST_F(Lora, AnAdapterIsAModelToGoOnFrom) {
  ASSERT_EQ(train(lora + "run.output_dir=out run.max_steps=2").status, 0);
  const auto result = host(
      "train --config run.yaml model.path=out/checkpoint-2 model.init=checkpoint run.output_dir=more run.max_steps=1",
      dir.path());
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(nlohmann::json::parse(read(dir / "more/checkpoint-1/adapter_config.json"))["r"], 4);
  EXPECT_NE(logprob("out/checkpoint-2"), logprob("more/checkpoint-1"));
}

TEST_F(Lora, WhatCannotBeIsToldWithItsKey) {
  const auto unknown = train("'model.lora={rang: 4}' run.output_dir=out");
  EXPECT_EQ(unknown.status, 1);
  EXPECT_NE(unknown.err.find("lora.rang: no such key"), std::string::npos) << unknown.err;
  const auto random = host("train --config run.yaml 'model.lora={rank: 4}'", dir.path());
  EXPECT_EQ(random.status, 1);
  EXPECT_NE(random.err.find("model.init"), std::string::npos) << random.err;
  ASSERT_EQ(train(lora + "run.output_dir=out run.max_steps=1").status, 0);
  fs::rename(dir / "base", dir / "elsewhere");
  const auto lost = host("export out/checkpoint-1 merged", dir.path());
  EXPECT_EQ(lost.status, 1);
  EXPECT_NE(lost.err.find("adapter_config.json: base_model_name_or_path"), std::string::npos) << lost.err;
}

}  // namespace
