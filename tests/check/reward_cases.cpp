// Rules that a reward, or who calls one, can break.
#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "grpo/sdk/plugins/reward.hpp"
#include "support.hpp"

namespace grpo::plugins {
namespace {

struct Scoring {
  std::vector<double> score = std::vector<double>(3, std::numeric_limits<double>::quiet_NaN());
  std::vector<std::int32_t> status = std::vector<std::int32_t>(3);
  std::vector<grpo_str> message = std::vector<grpo_str>(3, grpo_str{"", 0});
  std::vector<double> column = score;
  grpo_reward_result table{};
  Scoring() {
    table.struct_size = sizeof table;
    table.host = this;
    table.score = score.data();
    table.status = status.data();
    table.message = message.data();
    table.component = [](const grpo_reward_result* r, const char*) {
      return static_cast<Scoring*>(r->host)->column.data();
    };
  }
};

struct DrivenReward : Driven<grpo_reward> {
  DrivenReward(Said& said, const std::string& name, const std::string& how) : Driven(said, GRPO_REWARD_ID, name, how) {
    add_samples();
  }
  explicit DrivenReward(Said& said) : Driven(said, GRPO_REWARD_ID, "throws", "", nlohmann::json::object()) {
    add_samples();
  }
  void add_samples() {
    const auto row = batch.add_row({.prompt = "p"});
    for (const char* text : {"one", "two", "three"}) batch.add_sample({.row = row, .completion = text});
  }
  grpo_status score() {
    Scoring scoring;
    Call own(test_services());
    return table->score(handle, own, batch.get(), &scoring.table);
  }
  RewardBatch batch;
};

Case by_plugin(const std::string& rule) {
  return {rule, false, [rule](Said& said) {
            DrivenReward reward(said, "broken", rule);
            if (reward.opened != GRPO_STATUS_OK) return;
            reward.score();
            reward.score();
            reward.table->query(reward.handle, "example.extra/1");
          }};
}

}  // namespace

std::vector<Case> reward_cases() {
  std::vector<Case> cases;
  for (const char* rule : {"call.stale",
                           "call.alloc.size",
                           "call.alloc.overrun",
                           "memory.kept",
                           "call.fail.text",
                           "call.fail.status",
                           "call.progress",
                           "call.service",
                           "status.unknown",
                           "status.unasked",
                           "status.no_reason",
                           "inputs.written",
                           "results.outside",
                           "text.null",
                           "text.utf8",
                           "text.final_zero",
                           "text.stack",
                           "handle.threads",
                           "handle.descriptors",
                           "query.unknown",
                           "options.stale",
                           "service.arguments",
                           "service.metric",
                           "service.outside",
                           "reward.score.nan",
                           "reward.score.infinite",
                           "reward.score.status",
                           "reward.score.message",
                           "reward.component.name",
                           "reward.component.infinite"})
    cases.push_back(by_plugin(rule));
  cases.push_back({"status.exception", false, [](Said& said) { DrivenReward(said).score(); }});
  cases.push_back({"service.closed", false, [](Said& said) {
                     DrivenReward reward(said, "broken", "service.closed");
                     reward.score();
                     reward.close();
                     for (int i = 0; i < 500 && !said.has("service.closed"); ++i)
                       std::this_thread::sleep_for(std::chrono::milliseconds(20));
                   }});
  cases.push_back({"call.null", true, [](Said& said) {
                     DrivenReward reward(said, "broken", "");
                     Scoring scoring;
                     EXPECT_EQ(reward.table->score(reward.handle, nullptr, reward.batch.get(), &scoring.table),
                               GRPO_STATUS_INVALID);
                   }});
  cases.push_back({"handle.closed", true, [](Said& said) {
                     DrivenReward reward(said, "broken", "");
                     reward.table->close(reward.handle);
                     EXPECT_EQ(reward.score(), GRPO_STATUS_INVALID);
                   }});
  cases.push_back({"query.id", true, [](Said& said) {
                     DrivenReward reward(said, "broken", "");
                     EXPECT_EQ(reward.table->query(reward.handle, nullptr), nullptr);
                   }});
  cases.push_back({"thread.one_at_a_time", true, [](Said& said) {
                     DrivenReward reward(said, "broken", "thread.one_at_a_time");
                     std::thread other([&] { reward.score(); });
                     for (int i = 0; i < 100 && !said.has("thread.one_at_a_time"); ++i) {
                       reward.score();
                       std::this_thread::sleep_for(std::chrono::milliseconds(5));
                     }
                     other.join();
                   }});
  cases.push_back({"handle.busy", true, [](Said& said) {
                     DrivenReward reward(said, "concurrent", "thread.one_at_a_time");
                     std::thread other([&] { reward.score(); });
                     std::this_thread::sleep_for(std::chrono::milliseconds(100));
                     reward.table->close(reward.handle);
                     other.join();
                   }});
  cases.push_back({"reward.score.arguments", true, [](Said& said) {
                     DrivenReward reward(said, "broken", "");
                     Scoring scoring;
                     grpo_reward_batch batch = *reward.batch.get();
                     batch.finish = nullptr;
                     EXPECT_EQ(reward.table->score(reward.handle, reward.call, &batch, &scoring.table),
                               GRPO_STATUS_INVALID);
                   }});
  return cases;
}

TEST(CheckedReward, SaysNothingOfASoundOne) {
  Said said;
  {
    DrivenReward reward(said, "broken", "");
    EXPECT_EQ(reward.score(), GRPO_STATUS_OK);
    EXPECT_EQ(reward.score(), GRPO_STATUS_OK);
  }
  EXPECT_EQ(said.text(), "");
}

TEST(CheckedReward, SpoilsTheOneSampleAndNamesTheRule) {
  Said said;
  Reward reward(checked(broken(GRPO_REWARD_ID, "broken"), said.settings()), {{"how", "reward.score.nan"}});
  RewardBatch batch;
  const auto row = batch.add_row({.prompt = "p"});
  for (int i = 0; i < 3; ++i) batch.add_sample({.row = row, .completion = "text"});
  const RewardScores scores = reward.score(batch);
  EXPECT_EQ(scores.status, (std::vector<std::int32_t>{GRPO_SAMPLE_OK, GRPO_SAMPLE_ERROR, GRPO_SAMPLE_OK}));
  EXPECT_NE(scores.message[1].find("[reward.score.nan]"), std::string::npos) << scores.message[1];
  ASSERT_EQ(said.all().size(), 1u);
  const std::string text = said.all()[0].text();
  for (const char* part :
       {"plugin 'broken' (", "broken_reward.so): score: sample 1 of 3", "[reward.score.nan]: Give it a score"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(CheckedReward, FailsTheCallThatBreaksARule) {
  Said said;
  Reward reward(checked(broken(GRPO_REWARD_ID, "broken"), said.settings()), {{"how", "results.outside"}});
  RewardBatch batch;
  batch.add_sample({.row = batch.add_row({.prompt = "p"}), .completion = "text"});
  const RewardScores scores = reward.score(batch);
  EXPECT_EQ(scores.count(GRPO_SAMPLE_ERROR), 1);
  EXPECT_NE(scores.message[0].find("it wrote past the end of score [results.outside]"), std::string::npos)
      << scores.message[0];
}

// What comes through the checks is what the plugin gave: scores, messages, components.
TEST(CheckedReward, ChangesNothing) {
  Said said;
  const std::shared_ptr<const Component> bare = broken(GRPO_REWARD_ID, "broken");
  RewardBatch batch;
  const auto row = batch.add_row({.prompt = "p", .ground_truth = "3", .columns = nullptr});
  for (int i = 0; i < 20; ++i)
    batch.add_sample({.row = row, .index = i, .completion = std::string(static_cast<std::size_t>(i), 'x')});
  Reward without(bare, nullptr), with(checked(bare, said.settings()), nullptr);
  const RewardScores a = without.score(batch), b = with.score(batch);
  EXPECT_EQ(a.score, b.score);
  EXPECT_EQ(a.status, b.status);
  EXPECT_EQ(a.message, b.message);
  EXPECT_EQ(said.text(), "");
}

}  // namespace grpo::plugins
