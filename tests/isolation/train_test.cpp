// grpo-host trains with a reward that crashes in the middle: the samples of that call are dropped, the run goes on.
#include <gmock/gmock.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class TrainIsolated : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "grpo-isolated-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    dir = name;
    fs::create_directories(dir / "model");
    for (const char* file : {"config.json", "tokenizer.json", "tokenizer_config.json"})
      fs::copy_file(fs::path(GRPO_SOURCE_DIR) / "host/demo" / file, dir / "model" / file);
    std::ofstream data(dir / "data.jsonl");
    for (int i = 0; i < 8; ++i) data << R"({"prompt": ")" << i << R"(+1=", "answer": "x"})" << '\n';
  }
  void TearDown() override { fs::remove_all(dir); }

  // Trains four steps with these rewards; the exit status.
  int train(const std::string& rewards) {
    std::ofstream(dir / "run.yaml") << "run: {output_dir: out, max_steps: 4, seed: 3}\n"
                                       "data: {path: data.jsonl, raw_prompt: true}\n"
                                       "model: {plugin: fake, path: model}\n"
                                       "sampler: {max_new_tokens: 5"
                                    << sampler
                                    << "}\n"
                                       "rewards: ["
                                    << rewards
                                    << "]\n"
                                       "algorithm: {group_size: 4, prompts_per_step: 2}\n"
                                       "optimizer: {learning_rate: 0.01}\n";
    const std::string command = std::string("cd ") + dir.string() +
                                " && " GRPO_BINARY_DIR "/bin/grpo-host train --plugins " GRPO_BINARY_DIR
                                "/tests/fakes/fake_model.so --plugins " +
                                ISOLATION_PLUGINS "/isolation_hostile.so --plugins " GRPO_BINARY_DIR
                                                  "/plugins"
                                                  " --config run.yaml >out.txt 2>err.txt";
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::vector<nlohmann::json> metrics() const {
    std::vector<nlohmann::json> all;
    std::ifstream in(dir / "out/metrics.jsonl");
    for (std::string line; std::getline(in, line);) all.push_back(nlohmann::json::parse(line));
    return all;
  }
  fs::path dir;
  std::string sampler;  // more of its keys
};

TEST_F(TrainIsolated, ACrashInTheMiddleCostsTheSamplesOfOneCall) {
  const std::string hostile = "plugin: hostile, options: {at_step: 2, marker: " + (dir / "crashed").string() + "}";
  ASSERT_EQ(train("{" + hostile + ", isolate: true, timeout: 30, memory_gib: 1}"), 0) << read(dir / "err.txt");
  EXPECT_TRUE(fs::exists(dir / "crashed")) << "the reward never crashed";
  const auto steps = metrics();
  ASSERT_EQ(steps.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_EQ(steps[i].at("rewards/hostile/errors").get<double>(), i == 1 ? 4 : 0) << steps[i].dump();
  EXPECT_EQ(steps[3].at("rewards/hostile/seen").get<double>(), 1);
  const std::string log = read(dir / "out/run.log") + read(dir / "out.txt") + read(dir / "err.txt");
  EXPECT_THAT(log, AllOf(HasSubstr("killed by SIGSEGV (Segmentation fault)"), HasSubstr("plugin 'hostile' ("),
                         HasSubstr("it will be started again")));
  EXPECT_TRUE(fs::exists(dir / "out/checkpoint-4"));

  // In this process the same reward ends the run: what isolation is for.
  fs::remove(dir / "crashed");
  EXPECT_EQ(train("{" + hostile + "}"), 128 + 11);
  for (const char* file : {"err.txt", "out/run.log"})
    EXPECT_THAT(read(dir / file), AllOf(HasSubstr("grpo-host: SIGSEGV "), HasSubstr("in plugin 'hostile' ("),
                                        HasSubstr("): score\n"), HasSubstr("isolate: true")));
}

TEST_F(TrainIsolated, ACallThatHangsHereIsLeftBehindAndTheRunEndsWell) {
  const std::string hostile = "plugin: hostile, options: {hang_at_step: 2, marker: " + (dir / "hung").string() + "}";
  ASSERT_EQ(train("{" + hostile + ", timeout: 0.2}"), 0) << read(dir / "err.txt");
  EXPECT_TRUE(fs::exists(dir / "hung")) << "the reward never hung";
  const auto steps = metrics();
  ASSERT_EQ(steps.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_EQ(steps[i].at("rewards/hostile/timeouts").get<double>(), i == 1 ? 4 : 0) << steps[i].dump();
  EXPECT_THAT(read(dir / "out/run.log"), AllOf(HasSubstr("the call is left behind"), HasSubstr("process of its own")));
  EXPECT_TRUE(fs::exists(dir / "out/checkpoint-4"));
}

TEST_F(TrainIsolated, ASamplerThatBindsIsRefusedBeforeTheFirstStep) {
  sampler = ", isolate: true";
  EXPECT_NE(train("{plugin: hostile}"), 0);
  EXPECT_THAT(read(dir / "err.txt"), AllOf(HasSubstr("plugin 'local' ("), HasSubstr("binds to the model of the host")));
}

TEST_F(TrainIsolated, AResultIsTheSameIsolatedOrNot) {
  ASSERT_EQ(train("{plugin: hostile}"), 0) << read(dir / "err.txt");
  const auto here = metrics();
  fs::remove_all(dir / "out");
  ASSERT_EQ(train("{plugin: hostile, isolate: true}"), 0) << read(dir / "err.txt");
  const auto there = metrics();
  ASSERT_EQ(here.size(), there.size());
  for (std::size_t i = 0; i < here.size(); ++i) {
    EXPECT_EQ(here[i].at("rewards/hostile/mean"), there[i].at("rewards/hostile/mean"));
    EXPECT_EQ(here[i].at("loss"), there[i].at("loss"));
  }
}

}  // namespace
