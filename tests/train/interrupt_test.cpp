// grpo-host when a signal comes in the middle of training.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "support.hpp"

namespace grpo::train {
namespace fs = std::filesystem;
namespace {

class Interrupt : public testing::Test {
 protected:
  void SetUp() override {
    copy_demo_model(dir / "model");
    write(dir / "data.jsonl", "{\"prompt\": \"1+1=\", \"answer\": \"2\"}\n");
  }

  // Starts a run that would take very long.
  pid_t start(const std::string& reward) {
    write(dir / "run.yaml",
          "run: {output_dir: out, max_steps: 100000000}\n"
          "data: {path: data.jsonl, raw_prompt: true}\n"
          "model: {plugin: fake, path: model}\n"
          "sampler: {max_new_tokens: 4}\n"
          "rewards: [{plugin: " +
              reward +
              ", timeout_seconds: 0}]\n"
              "algorithm: {group_size: 2, prompts_per_step: 1}\n");
    const pid_t pid = fork();
    if (pid == 0) {
      for (const int fd : {1, 2})
        dup2(open((dir / (fd == 1 ? "stdout" : "stderr")).c_str(), O_WRONLY | O_CREAT, 0644), fd);
      signal(SIGINT, SIG_DFL);  // a shell that runs tests in the background may have it ignored
      execl(GRPO_BINARY_DIR "/bin/grpo-host", "grpo-host", "train", "--plugins",
            GRPO_BINARY_DIR "/tests/fakes/fake_model.so", "--plugins",
            GRPO_BINARY_DIR "/tests/plugins/test_moody_rewards.so", "--plugins", GRPO_PLUGIN_DIR, "--config",
            (dir / "run.yaml").c_str(), nullptr);
      _exit(99);
    }
    return pid;
  }
  // An evaluation that would take very long.
  pid_t start_eval() {
    std::string rows;
    for (int i = 0; i < 20000; ++i) rows += "{\"prompt\": \"1+1=\", \"answer\": \"2\"}\n";
    write(dir / "data.jsonl", rows);
    write(dir / "eval.yaml",
          "data: {raw_prompt: true}\n"
          "model: {plugin: fake, path: model}\n"
          "sampler: {max_new_tokens: 4}\n"
          "rewards: [{plugin: length, options: {form: short, minimum: 1, maximum: 4}}]\n"
          "evaluation: {path: data.jsonl, batch_size: 1}\n");
    const pid_t pid = fork();
    if (pid == 0) {
      for (const int fd : {1, 2})
        dup2(open((dir / (fd == 1 ? "stdout" : "stderr")).c_str(), O_WRONLY | O_CREAT, 0644), fd);
      signal(SIGINT, SIG_DFL);
      execl(GRPO_BINARY_DIR "/bin/grpo-host", "grpo-host", "eval", "--plugins",
            GRPO_BINARY_DIR "/tests/fakes/fake_model.so", "--plugins", GRPO_PLUGIN_DIR, "--config",
            (dir / "eval.yaml").c_str(), "--output", (dir / "found").c_str(), nullptr);
      _exit(99);
    }
    return pid;
  }
  // Waits until `what` holds or the process has ended.
  template <class F>
  bool until(F what) {
    for (int i = 0; i < 6000; ++i) {
      if (what()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  static int wait_for(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  Scratch dir;
};

TEST_F(Interrupt, TheFirstSignalFinishesTheStepAndWritesACheckpoint) {
  for (const auto& [number, status] : {std::pair{SIGINT, 130}, {SIGTERM, 143}}) {
    fs::remove_all(dir / "out");
    const pid_t pid = start("length, options: {form: short, minimum: 1, maximum: 4}");
    const bool runs =
        until([&] { return fs::exists(dir / "out/metrics.jsonl") && fs::file_size(dir / "out/metrics.jsonl") > 0; });
    kill(pid, number);
    EXPECT_EQ(wait_for(pid), status) << read(dir / "stderr");
    ASSERT_TRUE(runs) << read(dir / "stderr");
    const std::string out = read(dir / "stdout"), lines = read(dir / "out/metrics.jsonl");
    EXPECT_NE(out.find("stopped after step "), std::string::npos)
        << out.substr(out.size() > 500 ? out.size() - 500 : 0);
    EXPECT_NE(out.find("run.resume=auto"), std::string::npos);
    const auto steps = std::count(lines.begin(), lines.end(), '\n');
    EXPECT_TRUE(fs::exists(dir / ("out/checkpoint-" + std::to_string(steps)) / "trainer_state.json")) << steps;
  }
}

TEST_F(Interrupt, AnEvaluationWritesWhatIsDone) {
  const pid_t pid = start_eval();
  const fs::path completions = dir / "found/completions.jsonl";
  const bool runs = until([&] { return fs::exists(completions) && fs::file_size(completions) > 0; });
  kill(pid, SIGINT);
  EXPECT_EQ(wait_for(pid), 130) << read(dir / "stderr");
  ASSERT_TRUE(runs) << read(dir / "stderr");
  const auto json = nlohmann::json::parse(read(dir / "found/eval.json"));
  EXPECT_EQ(json["complete"], false);
  const auto lines = read(completions);
  EXPECT_EQ(json["datasets"][0]["num_questions"], std::count(lines.begin(), lines.end(), '\n'));
  EXPECT_NE(read(dir / "stdout").find("sample_pass@1"), std::string::npos) << "no table";
}

TEST_F(Interrupt, TheSecondSignalEndsAtOnce) {
  const pid_t pid = start("stuck");
  const bool runs = until([&] { return fs::exists(dir / "out/metrics.jsonl"); });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // into the step, which never ends
  kill(pid, SIGINT);
  const bool said = until([&] { return read(dir / "stderr").find("finishing the running step") != std::string::npos; });
  kill(pid, SIGTERM);
  EXPECT_EQ(wait_for(pid), -SIGTERM) << read(dir / "stderr");
  EXPECT_TRUE(runs && said) << read(dir / "stderr");
}

}  // namespace
}  // namespace grpo::train
