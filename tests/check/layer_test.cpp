// What all layers share: they stack, they end, and there is a last one.
#include <gtest/gtest.h>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/reward.hpp"
#include "support.hpp"

namespace grpo::plugins {
namespace {

TEST(Layers, Stack) {
  Said outer, inner;
  const auto bare = broken(GRPO_REWARD_ID, "broken");
  const auto both = checked(checked(bare, inner.settings()), outer.settings());
  EXPECT_EQ(both->label(), bare->label());
  EXPECT_EQ(both->table->flags, bare->table->flags);
  Reward reward(both, {{"how", "reward.score.nan"}});
  RewardBatch batch;
  const auto row = batch.add_row({.prompt = "p"});
  for (int i = 0; i < 2; ++i) batch.add_sample({.row = row, .completion = "c"});
  const RewardScores scores = reward.score(batch);
  EXPECT_EQ(scores.status, (std::vector<std::int32_t>{GRPO_SAMPLE_OK, GRPO_SAMPLE_ERROR}));
  EXPECT_TRUE(inner.has("reward.score.nan"));
  EXPECT_EQ(outer.text(), "") << "the inner layer had put it right";
}

TEST(Layers, OfAnotherKindOfComponentIsNone) {
  const auto stranger = std::make_shared<Component>(*broken(GRPO_REWARD_ID, "broken"));
  stranger->manifest.interface_id = "example.extra/1";
  EXPECT_EQ(checked(stranger), stranger);
}

TEST(Layers, GiveTheirPlaceBack) {
  const auto bare = broken(GRPO_REWARD_ID, "broken");
  for (int round = 0; round < 3; ++round) {
    std::vector<std::shared_ptr<const Component>> all;
    std::string refusal;
    try {
      while (all.size() < 5000) all.push_back(checked(bare));
    } catch (const Error& e) {
      refusal = e.what();
    }
    EXPECT_LE(all.size(), 1024u);
    EXPECT_GE(all.size(), 1000u) << "some did not come back";  // handles that were closed keep theirs for a while
    EXPECT_NE(refusal.find("1024 components with a layer are open in this process"), std::string::npos) << refusal;
    EXPECT_NE(all.front()->table->open, all.back()->table->open);
    Reward(all.back(), nullptr);
  }
}

// A component that is gone is told, not crashed into.
TEST(Layers, OpenAfterTheEndIsRefused) {
  auto component = checked(broken(GRPO_REWARD_ID, "broken"));
  const auto open = component->table->open;
  component.reset();
  const Options options(nullptr, nlohmann::json::object(), "o");
  Call call;
  void* handle = nullptr;
  EXPECT_EQ(open(call, options.get(), &handle), GRPO_STATUS_INVALID);
  EXPECT_EQ(call.error(), "open of a component that nobody holds any more");
}

}  // namespace
}  // namespace grpo::plugins
