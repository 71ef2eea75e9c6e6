// Plugins as `plugins new` makes them and build.sh built them: found, scored with, sampled from, trained with. And what
// `plugins new` refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "grpo/sdk/plugins/optimizer.hpp"
#include "line.hpp"

namespace grpo::plugins {
namespace {

using testing::HasSubstr;

Registry made() {
  RegistrySettings settings;
  settings.probe_cache.clear();
  Registry registry(settings);
  registry.add_directory(MADE);
  return registry;
}

TEST(New, AllAreFoundUnderTheirNames) {
  const Registry registry = made();
  EXPECT_TRUE(registry.refusals().empty());
  EXPECT_EQ(registry.names("grpo.reward/1"), (std::vector<std::string>{"bare", "new-reward_c", "new-reward_cpp"}));
  EXPECT_EQ(registry.names("grpo.optimizer/1"), (std::vector<std::string>{"new-optimizer_c", "new-optimizer_cpp"}));
  EXPECT_EQ(registry.names("grpo.sampler/1"), std::vector<std::string>{"new-sampler_cpp"});
  EXPECT_EQ(registry.names("grpo.model/1"), std::vector<std::string>{"new-model_cpp"});
}

TEST(New, RewardsInBothLanguagesScoreAlike) {
  Registry registry = made();
  for (const char* name : {"new-reward_c", "new-reward_cpp", "bare"}) {
    Reward reward(registry, name, {{"otherwise", -0.25}});
    RewardBatch batch;
    const auto known = batch.add_row({.ground_truth = std::string_view("4\0002", 3)}), unknown = batch.add_row({});
    for (const std::string_view text : {std::string_view("it is 4\0002", 9), std::string_view("4")})
      batch.add_sample({.row = known, .completion = text});
    batch.add_sample({.row = unknown, .completion = "42"});
    const RewardScores s = reward.score(batch);
    EXPECT_EQ(s.score[0], 1) << name;
    EXPECT_EQ(s.score[1], -0.25) << name;
    EXPECT_EQ(s.status[2], GRPO_SAMPLE_NOT_APPLICABLE) << name;
    EXPECT_EQ(s.components.at("found")[0], 1) << name;
  }
}

// With the fake model and its reward, a policy over the last two tokens: 60 steps.
TEST(New, OptimizersAndTheSamplerTrain) {
  Registry registry = made();
  registry.add_directory(FAKES);
  registry.add_directory(GRPO_PLUGIN_DIR);
  expect_learning(registry, "local", "new-optimizer_c", {.rate = 60});
  expect_learning(registry, "new-sampler_cpp", "new-optimizer_cpp", {.rate = 60});
}

TEST(New, OptimizersInBothLanguagesStepAlike) {
  Registry registry = made();
  std::map<std::string, std::vector<float>> after;
  for (const char* name : {"new-optimizer_c", "new-optimizer_cpp"}) {
    Model model(registry, "new-model_cpp", {{"vocabulary", 33}});
    Optimizer optimizer(registry, name, {{"momentum", 0.8}, {"weight_decay", 0.125}});
    optimizer.bind(model);
    const grpo_parameter& p = *model.parameters()[0];
    auto *value = reinterpret_cast<float*>(data_of(*p.value)), *g = reinterpret_cast<float*>(data_of(*p.gradient));
    for (int step = 1; step <= 3; ++step) {
      for (int i = 0; i < 33; ++i) g[i] = std::sin(static_cast<float>(i * step));
      optimizer.step(step, 0.1, 0.5);
    }
    after[name].assign(value, value + 33);
  }
  const auto &c = after["new-optimizer_c"], &cpp = after["new-optimizer_cpp"];
  for (std::size_t i = 0; i < 33; ++i) EXPECT_NEAR(c[i], cpp[i], 1e-6);
  EXPECT_NE(c[0], c[1]);
}

// The logits of the new model do not depend on the text, so what it can learn is which letter pays in general.
TEST(New, TheModelIsTrainedAndSampledFrom) {
  Registry registry = made();
  Model model(registry, "new-model_cpp", {{"vocabulary", 64}});
  Optimizer optimizer(registry, "new-optimizer_cpp", nullptr);
  Sampler sampler(registry, "new-sampler_cpp", nullptr);
  sampler.bind(model);
  optimizer.bind(model);
  const auto sampling = std::make_shared<Sampling>(Sampling{.max_new = 8});
  double first = 0, last = 0;
  for (std::int64_t step = 1; step <= 20; ++step) {
    Forest forest;
    std::vector<float> sampled, derivative;
    double mean = 0;
    const std::vector<std::int32_t> prompt{1, 2};
    const auto root = forest.add(Forest::root, prompt);
    sampler.generate({{1, static_cast<std::uint64_t>(step), prompt, 16, sampling}}, [&](Completion c) {
      forest.add_scored(root, c.ids);
      sampled.insert(sampled.end(), c.logprob.begin(), c.logprob.end());
      for (const std::int32_t id : c.ids) derivative.push_back(id < 32 ? -1.f / 128 : 1.f / 128), mean += id < 32;
    });
    std::vector<float> logprob(static_cast<std::size_t>(forest.n_targets()));
    model.zero_grad();
    Ticket ticket = model.forward(forest, 1, logprob, {}, true);
    for (std::size_t k = 0; k < logprob.size(); ++k) EXPECT_NEAR(logprob[k], sampled[k], 1e-5);
    model.backward(std::move(ticket), derivative);
    optimizer.step(step, 1.0, 1.0);
    model.commit(step);
    sampler.update_weights(model, step);
    (step == 1 ? first : last) = mean / 128;
  }
  EXPECT_LT(first, 0.7);
  EXPECT_GT(last, 0.85);
}

// ---- refusals

struct Said {
  int status;
  std::string text;
};
Said host(const std::string& arguments) {
  const std::string command = std::string(GRPO_HOST " plugins new ") + arguments + " 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  char buffer[512];
  while (pipe && fgets(buffer, sizeof buffer, pipe)) text += buffer;
  return {pipe ? WEXITSTATUS(pclose(pipe)) : -1, text};
}

struct Folder {
  std::filesystem::path path;
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "grpo-new-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  bool empty() const { return std::filesystem::is_empty(path); }
  std::string dir() const { return " --dir " + path.string(); }
};

TEST(New, RefusesNamesThatWouldNotBuild) {
  const Folder folder;
  for (const auto& [name, says] :
       std::map<std::string, std::string>{{"'My Reward'", "perhaps 'my_reward'"},
                                          {"2fast", "perhaps 'fast'"},
                                          {"../up", "perhaps 'up'"},
                                          {"test", "means something to CMake"},
                                          {std::string(65, 'a'), "over 64 characters"},
                                          {"boxed --plugins " FAKES, "choose another name"}}) {
    const Said said = host("reward " + name + folder.dir());
    EXPECT_EQ(said.status, 1) << name;
    EXPECT_THAT(said.text, HasSubstr(says)) << name;
  }
  EXPECT_TRUE(folder.empty());
}

TEST(New, OverwritesNothing) {
  const Folder folder;
  ASSERT_EQ(host("reward mine" + folder.dir()).status, 0);
  std::ofstream(folder.path / "mine/mine.cpp") << "my work";
  const Said again = host("optimizer mine" + folder.dir());
  EXPECT_EQ(again.status, 1);
  EXPECT_THAT(again.text, HasSubstr("nothing has been written"));
  EXPECT_EQ(std::filesystem::file_size(folder.path / "mine/mine.cpp"), 7u);
}

TEST(New, SaysWhatToUseWhereThereIsNoStartInC) {
  const Folder folder;
  const Said said = host("model mine --lang c" + folder.dir());
  EXPECT_EQ(said.status, 1);
  EXPECT_THAT(said.text, HasSubstr("--lang cpp"));
  EXPECT_TRUE(folder.empty());
}

}  // namespace
}  // namespace grpo::plugins
