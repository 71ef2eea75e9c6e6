// Paths among the options of plugins: relative to where they are written.
#include "grpo/sdk/train/option_paths.hpp"

#include <gtest/gtest.h>

#include "support.hpp"

namespace grpo::train {
namespace fs = std::filesystem;
namespace {

nlohmann::json resolved(const fs::path& file, const std::vector<std::string>& overrides = {}) {
  auto config = config::load(file, overrides);
  resolve_option_paths(config, test_registry());
  return nlohmann::json::parse(config.rewards.at(0).options.json);
}

TEST(OptionPaths, AreRelativeToTheFileOrOnTheCommandLineToTheCurrentDirectory) {
  Scratch dir;
  fs::create_directories(dir / "configs");
  const fs::path file = dir / "configs/run.yaml";
  write(file, R"(rewards: [{plugin: moody, options: {file: ../a.txt, files: [b, /c, ~/d], text: ../a.txt}}])");
  const std::string home = std::getenv("HOME") ? std::getenv("HOME") : (dir / "configs/~").string();
  const auto in_file = resolved(file);
  EXPECT_EQ(in_file["file"], (dir / "a.txt").string());
  EXPECT_EQ(in_file["files"], nlohmann::json({(dir / "configs/b").string(), "/c", home + "/d"}));
  EXPECT_EQ(in_file["text"], "../a.txt") << "is no path";

  const std::string here = fs::current_path().string();
  const auto overridden = resolved(file, {"rewards.0.options.file=x/../e"});
  EXPECT_EQ(overridden["file"], here + "/e");
  EXPECT_EQ(overridden["files"], in_file["files"]);
  EXPECT_EQ(resolved(file, {"rewards.moody.options.files=[f]"})["files"], nlohmann::json({here + "/f"}));
}

TEST(OptionPaths, WhatIsNoTextStaysForThePluginsOwnCheck) {
  Scratch dir;
  write(dir / "run.yaml", "rewards: [{plugin: moody, options: {file: 3, files: [1, '']}}]");
  EXPECT_EQ(resolved(dir / "run.yaml").dump(), R"({"file":3,"files":[1,""]})");
  write(dir / "run.yaml", "rewards: [{plugin: nobody, options: {file: a}}]");
  EXPECT_EQ(resolved(dir / "run.yaml").dump(), R"({"file":"a"})");
}

TEST(OptionPaths, ResolvingTwiceChangesNothingMore) {
  Scratch dir;
  write(dir / "run.yaml", "rewards: [{plugin: moody, options: {file: a}}]");
  auto config = config::load(dir / "run.yaml");
  resolve_option_paths(config, test_registry());
  write(dir / "again.yaml", config::effective_yaml(config));
  EXPECT_EQ(resolved(dir / "again.yaml")["file"], (dir / "a").string());
}

}  // namespace
}  // namespace grpo::train
