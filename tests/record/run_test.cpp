// A run with everything recorded, and each recording made again by the program, without the run's model and data.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include "support.hpp"

namespace grpo::plugins {
namespace {

using testing::HasSubstr;

struct Said {
  int status;
  std::string text;
};
Said host(const std::string& arguments) {
  FILE* pipe = popen((GRPO_HOST " " + arguments + " 2>&1").c_str(), "r");
  std::string text;
  char buffer[512];
  while (pipe && fgets(buffer, sizeof buffer, pipe)) text += buffer;
  const int status = pipe ? pclose(pipe) : -1;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text};
}
const std::string plugins = " --plugins " GRPO_PLUGIN_DIR " --plugins " MADE " ";

void make_run(const Folder& folder) {
  namespace fs = std::filesystem;
  fs::create_directory(folder / "model");
  for (const char* name : {"config.json", "tokenizer.json", "tokenizer_config.json"})
    fs::copy_file(fs::path(GRPO_SOURCE_DIR) / "host/demo" / name, fs::path(folder / "model") / name);
  std::string data;
  for (int i = 0; i < 12; ++i)
    data += nlohmann::json{{"prompt", std::to_string(i) + "+1="}, {"answer", std::to_string(i + 1)}}.dump() + "\n";
  write(folder / "data.jsonl", data);
  write(folder / "run.yaml", R"(run: {output_dir: out, seed: 3, max_steps: 2, threads: 1}
data: {path: data.jsonl, raw_prompt: true}
model: {plugin: new-model_cpp, path: model, options: {vocabulary: 16}, record: calls/model}
sampler: {max_new_tokens: 6, record: calls/sampler}
rewards: [{plugin: length, options: {form: short, unit: characters, minimum: 1, maximum: 12}, record: calls/reward}]
algorithm: {group_size: 4, prompts_per_step: 3}
optimizer: {learning_rate: 0.1, record: calls/optimizer}
)");
}

TEST(RecordRun, EveryPluginOfARunIsMadeAgain) {
  const Folder folder;
  make_run(folder);
  const Said run = host("train" + plugins + "--config " + (folder / "run.yaml"));
  ASSERT_EQ(run.status, 0) << run.text;
  std::filesystem::rename(folder / "data.jsonl", folder / "gone.jsonl");
  std::filesystem::rename(folder / "model", folder / "gone");
  for (const char* kind : {"model", "sampler", "reward", "optimizer"}) {
    const Said again = host("plugins replay" + plugins + (folder / "calls/") + kind);
    EXPECT_EQ(again.status, 0) << kind << ": " << again.text;
    EXPECT_THAT(again.text, HasSubstr(" 0 differences")) << kind;
    EXPECT_THAT(again.text, testing::Not(HasSubstr("note:"))) << kind;
  }
  // A second run keeps the first one's.
  std::filesystem::rename(folder / "gone.jsonl", folder / "data.jsonl");
  std::filesystem::rename(folder / "gone", folder / "model");
  ASSERT_EQ(host("train" + plugins + "--config " + (folder / "run.yaml") + " run.max_steps=1").status, 0);
  EXPECT_TRUE(std::filesystem::exists(folder / "calls/reward.1"));

  const Said other =
      host("plugins replay" + plugins + (folder / "calls/reward.1") + " --options '{\"maximum\": 20}' --json");
  ASSERT_EQ(other.status, 1) << other.text;
  const auto report = nlohmann::json::parse(other.text);
  EXPECT_GT(report["differences"], 0);
  EXPECT_EQ(report["list"][0]["function"], "score");
  EXPECT_EQ(report["interface"], "grpo.reward/1");
}

TEST(RecordRun, AFileForTwoIsRefusedWithItsPlace) {
  const Folder folder;
  make_run(folder);
  const Said run =
      host("train" + plugins + "--config " + (folder / "run.yaml") + " optimizer.record=" + (folder / "calls/model"));
  EXPECT_EQ(run.status, 1);
  EXPECT_THAT(run.text, HasSubstr("optimizer.record"));
  EXPECT_THAT(run.text, HasSubstr("needs a file of its own"));
}

TEST(RecordRun, ScoreRecordsWithoutAModel) {
  const Folder folder;
  const std::string calls = folder / "score.calls";
  write(folder / "samples.jsonl", R"({"completion": "It is 42.", "ground_truth": "42"})");
  const Said said =
      host("score" + plugins + "--reward new-reward_c --record " + calls + " < " + (folder / "samples.jsonl"));
  ASSERT_EQ(said.status, 0) << said.text;
  const Said again = host("plugins replay " + calls + " --plugin " MADE "/new-reward_cpp.so");
  EXPECT_EQ(again.status, 0) << again.text;  // the same reward in the other language
  EXPECT_THAT(host("plugins replay " + calls + " --plugin nobody").text, HasSubstr("nobody"));
}

}  // namespace
}  // namespace grpo::plugins
