// Rewards of a stranger in a run: both examples, built against the installed package (tests/examples/build.sh), reach
// grpo-host through a second --plugins directory, beside the plugins that ship.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "support.hpp"

using namespace e2e;

namespace {

const std::string shipped_and_examples = " --plugins '" GRPO_SHIPPED_PLUGINS "' --plugins '" GRPO_EXAMPLE_PLUGINS "'";

// The run of support.hpp with the two examples in place of the reward that ships.
void make_example_run(const Scratch& dir) {
  make_run(dir.path());
  std::string run = read(dir / "run.yaml");
  const auto from = run.find("rewards: "), to = run.find('\n', from);
  ASSERT_NE(from, std::string::npos);
  run.replace(from, to - from,
              "rewards:\n"
              "  - {plugin: boxed, options: {wrong: -0.25}}\n"
              "  - {plugin: brevity, weight: 0.5, options: {words: 1, slope: 0.25}}");
  write(dir / "run.yaml", run);
}

TEST(ExamplePlugins, AreUsedInARun) {
  Scratch dir;
  make_example_run(dir);
  const auto result = host("train" + shipped_and_examples + " --config run.yaml", dir.path());
  ASSERT_EQ(result.status, 0) << result.err;
  const auto rows = read_jsonl(dir / "out/metrics.jsonl");
  ASSERT_EQ(rows.size(), 4u);
  for (const auto& row : rows) {
    for (const char* name : {"rewards/boxed/mean", "rewards/brevity/mean", "reward", "grad_norm"}) {
      ASSERT_TRUE(row.contains(name)) << name << " in " << row;
      ASSERT_TRUE(row[name].is_number()) << name << " in " << row;
    }
    const double boxed = row["rewards/boxed/mean"], brevity = row["rewards/brevity/mean"];
    // An untrained model of single characters cannot write \boxed{} in six tokens often: mostly `missing`, -1.
    EXPECT_GE(boxed, -1);
    EXPECT_LT(boxed, 1);
    EXPECT_GE(brevity, 0);
    EXPECT_LE(brevity, 1);
    EXPECT_NEAR(row["reward"].get<double>(), boxed + 0.5 * brevity, 1e-6);
  }
}

// Model, sampler and optimizer of a stranger in the place of ours.
TEST(ExamplePlugins, TrainAModelOfTheirOwn) {
  Scratch dir;
  make_run(dir.path());
  const auto result =
      host("train" + shipped_and_examples +
               " --config run.yaml model.plugin=bigram model.options.vocabulary=512 sampler.plugin=plain"
               " optimizer.plugin=lion optimizer.learning_rate=0.05 run.max_steps=12",
           dir.path());
  ASSERT_EQ(result.status, 0) << result.err;
  const auto rows = read_jsonl(dir / "out/metrics.jsonl");
  ASSERT_EQ(rows.size(), 12u);
  double first = 0, last = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    first += rows[i]["reward"].get<double>();
    last += rows[rows.size() - 1 - i]["reward"].get<double>();
  }
  EXPECT_GT(last, first);
  EXPECT_TRUE(std::filesystem::exists(dir / "out/checkpoint-12"));
}

TEST(ExamplePlugins, AnOptionOfTheirsIsCheckedBeforeTheRun) {
  Scratch dir;
  make_example_run(dir);
  std::string run = read(dir / "run.yaml");
  run.replace(run.find("wrong:"), 6, "wrnog:");
  write(dir / "run.yaml", run);
  const auto result = host("train" + shipped_and_examples + " --config run.yaml", dir.path());
  EXPECT_NE(result.status, 0);
  EXPECT_NE(result.err.find("wrnog"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("wrong"), std::string::npos) << result.err;
  EXPECT_FALSE(std::filesystem::exists(dir / "out/metrics.jsonl"));
}

TEST(ExamplePlugins, WithoutTheirDirectoryTheyAreNotFound) {
  Scratch dir;
  make_example_run(dir);
  const auto result = host("train --plugins '" GRPO_SHIPPED_PLUGINS "' --config run.yaml", dir.path());
  EXPECT_NE(result.status, 0);
  EXPECT_NE(result.err.find("boxed"), std::string::npos) << result.err;
}

TEST(ExamplePlugins, OneThatIsThereTwiceIsNamed) {
  Scratch dir;
  std::filesystem::copy_file(GRPO_EXAMPLE_PLUGINS "/boxed.so", dir / "copy.so");
  const auto result = host("plugins list --plugins '" GRPO_EXAMPLE_PLUGINS "' --plugins copy.so", dir.path());
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.err.find("'boxed'"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("copy.so"), std::string::npos) << result.err;
  EXPECT_EQ(result.err.find("brevity"), std::string::npos) << result.err;
}

}  // namespace
