// A reward that takes a whole batch, as its table has it.
#include <gtest/gtest.h>
#include <grpo/reward.hpp>

#include <cmath>
#include <string>
#include <vector>

#include "test/host.hpp"

namespace {

struct asks_many {
  asks_many(grpo::options, grpo::host, grpo::call open) { open.stop_if_asked(); }
  void operator()(const grpo::batch& batch) const {
    batch.set(0, static_cast<double>(batch.size()));
    batch.fail(1, std::string("why: ") + std::string(batch[1].completion()), GRPO_SAMPLE_TIMEOUT);
    batch.call().stop_if_asked();
    if (batch[2].completion() == "throw") throw grpo::failure("the service is gone");
    batch.set(2, grpo::not_applicable);
  }
};
using table = grpo::reward_table<asks_many>;

struct Batch {
  explicit Batch(const char* last) : texts{{"a", 1}, {"b", 1}, {last, static_cast<std::int64_t>(std::strlen(last))}} {
    batch.n_samples = 3;
    batch.completion = texts.data();
    result.score = score;
    result.status = status;
    result.message = message;
  }
  std::vector<grpo_str> texts;
  grpo_reward_batch batch = test::make<grpo_reward_batch>();
  grpo_reward_result result = test::make<grpo_reward_result>();
  double score[3] = {NAN, NAN, NAN};
  std::int32_t status[3] = {};
  grpo_str message[3] = {{"", 0}, {"", 0}, {"", 0}};
};

struct Opened {
  test::Call call;
  test::Options options;
  void* handle = nullptr;
  Opened() { EXPECT_EQ(table::table.open(call, options, &handle), GRPO_STATUS_OK) << call.error(); }
  ~Opened() { table::table.close(handle); }
};

TEST(RewardBatch, SetsAndFails) {
  EXPECT_EQ(table::table.flags, std::uint32_t{GRPO_REWARD_CONCURRENT | GRPO_REWARD_WHOLE_GROUPS});
  Opened reward;
  Batch b("c");
  ASSERT_EQ(table::table.score(reward.handle, reward.call, &b.batch, &b.result), GRPO_STATUS_OK);
  EXPECT_EQ(b.score[0], 3);
  EXPECT_EQ(b.status[1], GRPO_SAMPLE_TIMEOUT);
  EXPECT_EQ(grpo::view(b.message[1]), "why: b");
  EXPECT_EQ(b.status[2], GRPO_SAMPLE_NOT_APPLICABLE);
}

// The host may have no memory for a text; an error without one breaks the contract.
TEST(RewardBatch, AnErrorHasATextWithoutMemoryToo) {
  Opened reward;
  Batch b("c");
  grpo_call call = *static_cast<const grpo_call*>(reward.call);
  call.alloc = [](const grpo_call*, std::int64_t) -> void* { return nullptr; };
  ASSERT_EQ(table::table.score(reward.handle, &call, &b.batch, &b.result), GRPO_STATUS_OK);
  EXPECT_EQ(b.status[1], GRPO_SAMPLE_TIMEOUT);
  EXPECT_EQ(grpo::view(b.message[1]), "an error; there was no memory for its text");
}

TEST(RewardBatch, EndsTheCall) {
  Opened reward;
  Batch thrown("throw");
  EXPECT_EQ(table::table.score(reward.handle, reward.call, &thrown.batch, &thrown.result), GRPO_STATUS_FAILED);
  EXPECT_EQ(reward.call.error(), "the service is gone");
  Batch stopped("c");
  reward.call.stop = 1;
  EXPECT_EQ(table::table.score(reward.handle, reward.call, &stopped.batch, &stopped.result), GRPO_STATUS_CANCELLED);
  EXPECT_EQ(stopped.score[0], 3) << "what has been set counts";
  EXPECT_TRUE(std::isnan(stopped.score[2]));
}

TEST(RewardBatch, OpeningSeesItsCall) {
  test::Call call;
  test::Options options;
  void* handle = nullptr;
  call.stop = 1;
  EXPECT_EQ(table::table.open(call, options, &handle), GRPO_STATUS_CANCELLED);
}

}  // namespace
