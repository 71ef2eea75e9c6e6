// What a resumed run says of settings that are others than its checkpoint's.
#include "changed_settings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <fstream>

namespace grpo::train {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

config::Config run(const std::vector<std::string>& overrides) {
  std::vector<std::string> all{"rewards=[{plugin: length}, {plugin: math, weight: 2}]", "optimizer.learning_rate=1e-5",
                               "evaluation.datasets=[{path: a.jsonl}, {path: b.jsonl}]"};
  all.insert(all.end(), overrides.begin(), overrides.end());
  return config::load(std::nullopt, all);
}

std::vector<std::string> changed(const std::vector<std::string>& overrides) {
  const auto file = std::filesystem::path(testing::TempDir()) / ("run-" + std::to_string(::getpid()) + ".yaml");
  std::ofstream(file) << config::effective_yaml(run({}), true);
  auto out = changed_settings(file, run(overrides));
  std::filesystem::remove(file);
  return out;
}

TEST(ChangedSettings, NamesWhatBearsOnTraining) {
  EXPECT_THAT(changed({}), IsEmpty());
  EXPECT_THAT(changed({"run.max_steps=9", "report.samples=3", "checkpoint.keep=1", "evaluation.datasets.1.samples=1",
                       "model.path=elsewhere"}),
              IsEmpty());
  EXPECT_THAT(changed({"optimizer.learning_rate=3e-5", "rewards.math.weight=0.5", "rewards.0.options.maximum=6"}),
              ElementsAre("optimizer.learning_rate was 1.0e-05 and is now 3.0e-05", "rewards.0.options.maximum is new",
                          "rewards.1.weight was 2 and is now 0.5"));
}

TEST(ChangedSettings, RewardsThatCameAndWent) {
  const auto more = changed({"rewards.2.plugin=format"});
  EXPECT_THAT(more, testing::Contains("rewards.2.plugin is new"));
  const auto less = changed({"rewards=[length]"});
  EXPECT_THAT(less, testing::Contains("rewards.1.plugin was math and is gone"));
}

TEST(ChangedSettings, AnotherHostsFileIsNotCompared) {
  const auto file = std::filesystem::path(testing::TempDir()) / "older.yaml";
  std::ofstream(file) << "optimizer: {no_such_key: 1}\n";
  EXPECT_THAT(changed_settings(file, run({})), IsEmpty());
  EXPECT_THAT(changed_settings("nowhere.yaml", run({})), IsEmpty());
}

}  // namespace
}  // namespace grpo::train
