// Rewards: what is recorded, what a replay finds, and files that are not whole.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "grpo/sdk/plugins/optimizer.hpp"
#include "grpo/sdk/plugins/reward.hpp"
#include "support.hpp"

namespace grpo::plugins {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// Three batches with text, ids and columns of all types; the scores.
std::vector<RewardScores> score_batches(Reward& reward) {
  std::vector<RewardScores> out;
  for (int b = 0; b < 3; ++b) {
    const json columns = {{"level", b}, {"x", b + 0.5}, {"name", "a\0b"}, {"list", {1, b}}};
    RewardBatch batch(b);
    const std::string zero("4\0002", 3);
    const std::vector<std::int32_t> ids{1, 2, b};
    const auto row = batch.add_row({.prompt = "what?", .ground_truth = "42", .prompt_ids = ids, .columns = &columns});
    for (const std::string& text : {std::string("\\boxed{42}"), std::string("\\boxed{41}"), "no \xff " + zero})
      batch.add_sample({.row = row, .index = 0, .completion = text, .ids = ids});
    out.push_back(reward.score(batch));
  }
  return out;
}

std::string record_boxed(const Folder& folder, const json& options = nullptr) {
  const std::string file = folder / "boxed.calls";
  Registry registry = fakes();
  const auto component = registry.load(GRPO_REWARD_ID, "boxed");
  Reward plain(component, options);
  Reward reward(recorded(component, {.file = file, .host = "test 1"}), options);
  const auto expected = score_batches(plain), scores = score_batches(reward);
  for (std::size_t b = 0; b < 3; ++b) {
    EXPECT_EQ(scores[b].status, expected[b].status);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(scores[b].score[i], expected[b].score[i]);
    EXPECT_EQ(scores[b].components, expected[b].components);
  }
  return file;
}

ReplayReport replay_boxed(const std::string& file, const ReplaySettings& settings = {}) {
  Registry registry = fakes();
  return replay(file, registry.load(GRPO_REWARD_ID, "boxed"), settings);
}

TEST(RecordReward, TheHeaderSaysWhoseCalls) {
  const Folder folder;
  const RecordingInfo info = recording_info(record_boxed(folder));
  EXPECT_EQ(info.interface_id, "grpo.reward/1");
  EXPECT_EQ(info.name, "boxed");
  EXPECT_EQ(info.plugin, "fake_reward");
  EXPECT_EQ(info.version, "1.0.0");
  EXPECT_EQ(info.host, "test 1");
  EXPECT_EQ(info.header_revision, std::uint32_t{GRPO_HEADER_REVISION});
  EXPECT_EQ(bytes_of(folder / "boxed.calls").substr(0, 2), "\x1f\x8b");  // gzip
}

TEST(RecordReward, TheSamePluginAgrees) {
  const Folder folder;
  const ReplayReport report = replay_boxed(record_boxed(folder, {{"wrong", -0.25}}));
  EXPECT_TRUE(report.same());
  EXPECT_EQ(report.calls, 4u);  // open and three batches
  EXPECT_GE(report.compared, 3u * 3u * 3u);
  EXPECT_TRUE(report.notes.empty()) << join(report.notes);
}

TEST(RecordReward, AnotherOneDoesNot) {
  const Folder folder;
  const json options = {{"wrong", -0.25}};
  const std::string file = record_boxed(folder);
  const ReplayReport report = replay_boxed(file, {.options = &options});
  ASSERT_EQ(report.n_differences, 3u);  // one sample of each batch
  const Difference& d = report.differences[1];
  EXPECT_EQ(d.call, 3u);
  EXPECT_EQ(d.function, "score");
  EXPECT_EQ(d.at, 1);
  EXPECT_EQ(d.what, "score");
  EXPECT_EQ(d.expected, "-0.5");
  EXPECT_EQ(d.got, "-0.25");
  EXPECT_TRUE(replay_boxed(file, {.tolerance = 0.25, .options = &options}).same());
  EXPECT_FALSE(replay_boxed(file, {.tolerance = 0.24, .options = &options}).same());
}

TEST(RecordReward, CallsFromSeveralThreadsAreKeptApart) {
  const Folder folder;
  {
    Registry registry = fakes();
    Reward reward(recorded(registry.load(GRPO_REWARD_ID, "boxed"), {.file = folder / "boxed.calls"}), nullptr);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) threads.emplace_back([&reward] { score_batches(reward); });
    for (auto& thread : threads) thread.join();
  }
  const ReplayReport report = replay_boxed(folder / "boxed.calls");
  EXPECT_TRUE(report.same());
  EXPECT_EQ(report.calls, 13u);
}

TEST(RecordReward, AFileThatWasCutOffIsReadAsFarAsItGoes) {
  const Folder folder;
  const std::string bytes = bytes_of(record_boxed(folder));
  std::uint64_t most = 0;
  std::size_t refused = 0;
  for (std::size_t size = 0; size < bytes.size(); size += 7) {
    write(folder / "cut.calls", bytes.substr(0, size));
    try {
      const ReplayReport report = replay_boxed(folder / "cut.calls");
      EXPECT_TRUE(report.same()) << size;
      EXPECT_GE(report.calls, most);
      EXPECT_THAT(join(report.notes), HasSubstr("was not closed"));
      most = report.calls;
    } catch (const Error& e) {
      EXPECT_EQ(most, 0u) << size;
      EXPECT_THAT(e.what(), HasSubstr("is no recording"));
      ++refused;
    }
  }
  EXPECT_EQ(most, 4u);
  EXPECT_GT(refused, 3u);
}

TEST(RecordReward, DamageIsTold) {
  const Folder folder;
  const std::string bytes = bytes_of(record_boxed(folder));
  std::size_t told = 0;
  for (std::size_t at = 12; at < bytes.size(); at += 5) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    write(folder / "damaged.calls", damaged);
    const std::string error = error_of([&] { EXPECT_FALSE(replay_boxed(folder / "damaged.calls").calls > 99); });
    told += error.find("damaged") != error.npos || error.find("no recording") != error.npos;
  }
  EXPECT_GE(told, (bytes.size() - 12) / 5);  // the checksum at the end sees every one
  write(folder / "text", "hello\n");
  EXPECT_THAT(error_of([&] { replay_boxed(folder / "text"); }), HasSubstr("is no recording"));
  EXPECT_THAT(error_of([&] { replay_boxed(folder / "none"); }), HasSubstr("No such file"));
}

// Without compression there is no checksum: what a message says is believed as far as it fits. Whatever happens, the
// plugin's handle is closed (the leak sanitizer sees it).
TEST(RecordReward, DamageWithoutAChecksumIsTold) {
  const Folder folder;
  const std::string plain = folder / "plain.calls", packed = record_boxed(folder);
  ASSERT_EQ(std::system(("gzip -dc < " + packed + " > " + plain).c_str()), 0);
  const std::string bytes = bytes_of(plain);
  EXPECT_EQ(error_of([&] { replay_boxed(plain); }), error_of([&] { replay_boxed(packed); }));
  std::size_t told = 0;
  for (std::size_t at = 0; at < bytes.size(); at += 13) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x15);
    write(folder / "damaged.calls", damaged);
    told += error_of([&] { replay_boxed(folder / "damaged.calls"); }).find("damaged") != std::string::npos;
  }
  EXPECT_GT(told, bytes.size() / 13 / 10);
}

TEST(RecordReward, WhatIsThereIsKept) {
  const Folder folder;
  record_boxed(folder);
  const std::string first = bytes_of(folder / "boxed.calls");
  record_boxed(folder);
  record_boxed(folder);
  EXPECT_EQ(bytes_of(folder / "boxed.calls.1"), first);
  EXPECT_TRUE(std::filesystem::exists(folder / "boxed.calls.2"));
}

TEST(RecordReward, AFileIsForOnePlugin) {
  const Folder folder;
  Registry registry = fakes();
  const auto first = recorded(registry.load(GRPO_REWARD_ID, "boxed"), {.file = folder / "one.calls"});
  EXPECT_THAT(error_of([&] { recorded(registry.load(GRPO_REWARD_ID, "letters"), {.file = folder / "one.calls"}); }),
              HasSubstr("needs a file of its own"));
  EXPECT_THAT(error_of([&] { recorded(registry.load(GRPO_REWARD_ID, "boxed"), {.file = "/proc/none/x.calls"}); }),
              HasSubstr("cannot be made"));
  EXPECT_THAT(error_of([&] { replay(folder / "one.calls", registry.load(GRPO_OPTIMIZER_ID, "fake")); }),
              HasSubstr("holds calls of grpo.reward/1"));
}

}  // namespace
}  // namespace grpo::plugins
