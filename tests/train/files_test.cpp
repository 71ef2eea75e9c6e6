// Checkpoints and model directories on disk.
#include <gtest/gtest.h>

#include <cstring>

#include "grpo/kit/safetensors.hpp"
#include "grpo/sdk/train/checkpoint.hpp"
#include "grpo/sdk/train/model_directory.hpp"
#include "support.hpp"

namespace grpo::train {
namespace fs = std::filesystem;
namespace {

class Files : public testing::Test {
 protected:
  void SetUp() override {
    optimizer.bind(model);
    fs::create_directories(dir / "model/sub");
    write(dir / "model/config.json", R"({"dtype": "float16", "hidden_size": 4})");
    write(dir / "model/tokenizer.json", "{}");
    write(dir / "model/pytorch_model.bin", "weights");
    write(dir / "model/model.safetensors.index.json", "{}");
    write(dir / "model/trainer_state.json", "{}");
    write(dir / "model/.hidden", "x");
    fs::create_directories(dir / "out");
  }
  CheckpointOptions options() {
    return {.output_dir = dir / "out", .model_directory = dir / "model", .run_yaml = "run: {}\n"};
  }
  fs::path save(std::int64_t step, CheckpointOptions o) {
    state.step = step;
    return save_checkpoint(o, state, model, optimizer);
  }
  float* values() { return reinterpret_cast<float*>(plugins::data_of(*model.parameters()[0]->value)); }
  std::size_t bytes() { return static_cast<std::size_t>(plugins::byte_count(model.parameters()[0]->value->dl)); }

  Scratch dir;
  plugins::Registry registry = test_registry();
  plugins::Model model{registry, "fake", nlohmann::json::object()};
  plugins::Optimizer optimizer{registry, "adamw", nlohmann::json::object()};
  TrainerState state{.stage = "train", .fixed = {{"run.seed", "1"}}};
};

TEST_F(Files, AModelDirectoryHasTheWeightsAndWhatIsNotWeights) {
  write_model_directory(model, dir / "model", dir / "copy", "bfloat16", {});
  EXPECT_TRUE(fs::exists(dir / "copy/tokenizer.json"));
  for (const char* name : {"pytorch_model.bin", "model.safetensors.index.json", "trainer_state.json", ".hidden", "sub"})
    EXPECT_FALSE(fs::exists(dir / "copy" / name)) << name;
  EXPECT_EQ(nlohmann::json::parse(read(dir / "copy/config.json"))["dtype"], "bfloat16");
  const kit::SafetensorsFile file(dir / "copy/model.safetensors");
  const auto& tensor = file.at("table.weight");
  EXPECT_EQ(tensor.dtype, kit::Dtype::bf16);
  std::vector<float> read_back(static_cast<std::size_t>(tensor.elements()));
  kit::to_float(tensor, read_back.data());
  for (std::size_t i = 0; i < read_back.size(); ++i)
    ASSERT_EQ(read_back[i], kit::bf16_to_float(kit::float_to_bf16(values()[i])));
}

TEST_F(Files, ANarrowCheckpointRestoresTheWeightsExactly) {
  std::vector<float> before(values(), values() + bytes() / sizeof(float));
  auto narrow = options();
  narrow.dtype = "bfloat16";
  const auto path = save(3, narrow);
  std::memset(values(), 0, bytes());
  restore_optimizer(path, model, optimizer, 3);
  EXPECT_EQ(std::memcmp(values(), before.data(), bytes()), 0);
}

TEST_F(Files, OldCheckpointsGoAndTheNewestNeverDoes) {
  auto two = options();
  two.keep = 2;
  for (const int step : {100, 9, 10, 11}) save(step, two);  // 100: of an earlier run
  EXPECT_FALSE(fs::exists(dir / "out/checkpoint-9"));
  for (const char* name : {"checkpoint-10", "checkpoint-11", "checkpoint-100"})
    EXPECT_TRUE(fs::exists(dir / "out" / name)) << name;
  EXPECT_EQ(find_checkpoint(dir / "out")->filename(), "checkpoint-100");
  fs::create_directories(dir / "out/.tmp-checkpoint-12");
  remove_unfinished_checkpoints(dir / "out");
  EXPECT_FALSE(fs::exists(dir / "out/.tmp-checkpoint-12"));
  write(dir / "out/metrics.jsonl", "{}\n");
  const auto aside = set_earlier_run_aside(dir / "out");
  ASSERT_TRUE(aside);
  EXPECT_TRUE(fs::exists(*aside / "checkpoint-100"));
  EXPECT_TRUE(fs::exists(*aside / "metrics.jsonl"));
  EXPECT_FALSE(find_checkpoint(dir / "out"));
  EXPECT_FALSE(set_earlier_run_aside(dir / "out"));
}

TEST_F(Files, AFailedSaveLeavesNothingAndTheOldOne) {
  save(1, options());
  auto broken = options();
  broken.model_directory = dir / "not there";
  EXPECT_NE(error_of([&] { save(2, broken); }), "nothing was thrown");
  EXPECT_FALSE(fs::exists(dir / "out/checkpoint-2"));
  EXPECT_FALSE(fs::exists(dir / "out/.tmp-checkpoint-2"));
  EXPECT_EQ(find_checkpoint(dir / "out")->filename(), "checkpoint-1");
}

TEST_F(Files, WhatChangedIsNamedOnResume) {
  const auto path = save(4, options());
  EXPECT_EQ(read_trainer_state(path, state).step, 4);
  TrainerState other = state;
  other.fixed["run.seed"] = "2";
  const auto changed = error_of([&] { read_trainer_state(path, other); });
  EXPECT_NE(changed.find("run.seed was 1 and is now 2"), std::string::npos) << changed;
  other = state;
  other.stage = "sft";
  EXPECT_NE(error_of([&] { read_trainer_state(path, other); }).find("`train`"), std::string::npos);
  auto bare = options();
  bare.optimizer_state = false;
  const auto refused = error_of([&] { read_trainer_state(save(5, bare), state); });
  EXPECT_NE(refused.find("cannot be resumed"), std::string::npos) << refused;
  write(path / "trainer_state.json", "{\"stage\": ");
  EXPECT_NE(error_of([&] { read_trainer_state(path, state); }).find("trainer_state.json"), std::string::npos);
}

TEST_F(Files, ADirectoryIsReplacedWhole) {
  for (const char* text : {"one", "two"}) {
    AtomicDirectory directory(dir / "thing");
    write_file(directory.path() / "file", text);
    if (*text == 't') {
      EXPECT_EQ(read(dir / "thing/file"), "one");
    }
    directory.commit();
    EXPECT_EQ(read(dir / "thing/file"), text);
  }
  { AtomicDirectory left(dir / "thing"); }
  EXPECT_EQ(read(dir / "thing/file"), "two");
  EXPECT_FALSE(fs::exists(dir / ".tmp-thing"));
}

}  // namespace
}  // namespace grpo::train
