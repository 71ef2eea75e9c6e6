#include "grpo/sdk/plugins/reward.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "fakes.hpp"
#include "grpo/sdk/plugins/services.hpp"

namespace grpo::plugins {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST(Reward, ScoresSamplesOfRows) {
  Registry registry = fakes();
  Reward boxed(registry, "boxed", {{"wrong", -0.25}});
  EXPECT_TRUE(boxed.concurrent());
  EXPECT_FALSE(boxed.whole_groups());
  RewardBatch batch(3);
  const auto a = batch.add_row({.prompt = "6 * 7 = ", .ground_truth = "42"}), b = batch.add_row({.prompt = "?"});
  for (const char* text : {"so \\boxed{42}", "\\boxed{41}", "no"}) batch.add_sample({.row = a, .completion = text});
  batch.add_sample({.row = b, .completion = "\\boxed{1}"});
  const RewardScores s = boxed.score(batch);
  EXPECT_EQ(s.score[0], 1);
  EXPECT_EQ(s.score[1], -0.25);
  EXPECT_EQ(s.score[2], -1);
  EXPECT_TRUE(std::isnan(s.score[3]));
  EXPECT_EQ(s.status[3], GRPO_SAMPLE_NOT_APPLICABLE);
  EXPECT_EQ(s.components.at("format")[0], 1);
  EXPECT_EQ(s.components.at("format")[2], 0);
  EXPECT_TRUE(std::isnan(s.components.at("format")[3]));
  EXPECT_EQ(boxed.score(RewardBatch()).score.size(), 0u);
}

TEST(Reward, NoArrayIsNull) {
  for (const bool filled : {false, true}) {
    RewardBatch batch;
    const json record{{"n", 1}};
    if (filled) batch.add_sample({.row = batch.add_row({.prompt = "p", .columns = &record}), .completion = "c"});
    const grpo_reward_batch* b = batch.get();
    for (const void* p :
         {static_cast<const void*>(b->prompt), static_cast<const void*>(b->messages),
          static_cast<const void*>(b->ground_truth), static_cast<const void*>(b->prompt_start),
          static_cast<const void*>(b->prompt_ids), static_cast<const void*>(b->columns),
          static_cast<const void*>(b->row), static_cast<const void*>(b->index), static_cast<const void*>(b->completion),
          static_cast<const void*>(b->finish), static_cast<const void*>(b->completion_start),
          static_cast<const void*>(b->completion_ids), static_cast<const void*>(b->sample_columns)}) {
      EXPECT_NE(p, nullptr);
    }
  }
}

TEST(Reward, TextIsMadeValidAndIdsStay) {
  RewardBatch batch;
  const std::vector<std::int32_t> prompt{1, 2, 3}, ids{4, 5};
  const auto row = batch.add_row({.prompt = "a\xC3", .prompt_ids = prompt});
  batch.add_sample({.row = row, .index = 6, .completion = "\xED\xA0\x80z", .finish = GRPO_FINISH_LENGTH, .ids = ids});
  const grpo_reward_batch* b = batch.get();
  EXPECT_STREQ(b->prompt[0].data, "a\xEF\xBF\xBD");
  EXPECT_STREQ(b->completion[0].data, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz");
  EXPECT_EQ(b->prompt_start[1], 3);
  EXPECT_EQ(b->completion_ids[1], 5);
  EXPECT_EQ(b->index[0], 6);
  EXPECT_EQ(b->finish[0], GRPO_FINISH_LENGTH);
}

const grpo_column* column(const grpo_reward_batch* b, const std::string& name) {
  for (std::int64_t i = 0; i < b->n_columns; ++i) {
    if (b->columns[i]->name == name) return b->columns[i];
  }
  return nullptr;
}

TEST(Reward, ColumnsAreTyped) {
  const std::vector<json> records{
      json::parse(R"({"t": "x", "i": 3, "n": 1.5, "m": 1, "flag": true, "list": [1, 2], "mixed": "x", "none": null})"),
      json::parse(R"({"t": null, "i": 4, "n": 2, "flag": false, "list": null, "mixed": 7})")};
  RewardBatch batch;
  for (const json& r : records) batch.add_row({.columns = &r});
  const grpo_reward_batch* b = batch.get();
  EXPECT_EQ(b->n_columns, 8);
  EXPECT_EQ(column(b, "t")->type, GRPO_COLUMN_TEXT);
  EXPECT_STREQ(column(b, "t")->text[0].data, "x");
  EXPECT_EQ(column(b, "t")->text[1].size, 0);
  EXPECT_EQ(column(b, "t")->integer, nullptr);
  EXPECT_EQ(column(b, "i")->integer[1], 4);
  EXPECT_EQ(column(b, "n")->number[1], 2);
  EXPECT_EQ(column(b, "m")->type, GRPO_COLUMN_NUMBER) << "an integer has no way to be missing";
  EXPECT_TRUE(std::isnan(column(b, "m")->number[1]));
  EXPECT_EQ(column(b, "flag")->integer[0], 1);
  EXPECT_STREQ(column(b, "list")->text[0].data, "[1,2]");
  EXPECT_EQ(column(b, "list")->text[1].size, 0);
  EXPECT_STREQ(column(b, "mixed")->text[0].data, "\"x\"");
  EXPECT_STREQ(column(b, "mixed")->text[1].data, "7");
  EXPECT_EQ(column(b, "none")->type, GRPO_COLUMN_TEXT);
}

TEST(Reward, TheDatasetDecidesTypesOnce) {
  const std::vector<json> all{{{"level", 1}}, {{"level", nullptr}}, {{"level", 2}, {"note", "x"}}};
  const ColumnTypes types = infer_column_types(all);
  EXPECT_EQ(types.at("level"), GRPO_COLUMN_NUMBER);
  EXPECT_EQ(types.at("note"), GRPO_COLUMN_TEXT);
  RewardBatch batch(1, types);  // whose only row would say integer, and has no note
  batch.add_row({.columns = &all[0]});
  EXPECT_EQ(column(batch.get(), "level")->type, GRPO_COLUMN_NUMBER);
  EXPECT_EQ(column(batch.get(), "note")->text[0].size, 0);
  const json wrong{{"level", "high"}};
  batch.add_row({.columns = &wrong});
  EXPECT_EQ(error_of([&] { batch.get(); }),
            "row 1 of the batch: the column \"level\" holds numbers, but this value is \"high\"");
}

// A reward that compares the samples of a row, whatever order they come in.
TEST(Reward, WholeGroups) {
  Registry registry = fakes();
  std::vector<std::string> lines;
  const auto services = std::make_shared<Services>(
      ServiceSettings{.log = [&](std::int32_t, const std::string& who, const std::string& line) {
        lines.push_back(who + ": " + line);
      }});
  Reward novelty(registry, "novelty", nullptr, {.services = services, .label = "fresh"});
  EXPECT_TRUE(novelty.whole_groups());
  EXPECT_EQ(lines, std::vector<std::string>{"fresh: novelty is open"});
  RewardBatch batch;
  const std::vector<std::int32_t> prompt{1, 2}, ids{3, 4, 5};
  const auto a = batch.add_row({.prompt_ids = prompt}), b = batch.add_row({}), c = batch.add_row({});
  batch.add_sample({.row = b, .index = 0, .completion = "x"});
  batch.add_sample({.row = a, .index = 0, .completion = "x", .ids = ids});
  batch.add_sample({.row = a, .index = 1, .completion = "y"});
  batch.add_sample({.row = c, .index = 0, .completion = "refuse"});
  batch.add_sample({.row = a, .index = 2, .completion = "x"});
  batch.add_sample({.row = a, .index = 3, .completion = "z"});
  batch.add_sample({.row = c, .index = 1, .completion = "refuse"});
  const RewardScores s = novelty.score(batch);
  EXPECT_EQ(s.score[0], 0);
  EXPECT_EQ(s.score[1], 0.5);
  EXPECT_EQ(s.score[2], 0.75);
  EXPECT_EQ(s.score[4], 0.5);
  EXPECT_EQ(s.score[5], 0.75);
  EXPECT_EQ(s.components.at("ids")[1], 3 + 4 + 5 + 200);
  EXPECT_EQ(s.components.at("ids")[4], 200 + 2000);
  EXPECT_EQ(s.status[3], GRPO_SAMPLE_ERROR);
  EXPECT_EQ(s.message[6], "a group with a refusal");
  const auto metrics = services->take_metrics();
  EXPECT_EQ(metrics.at("plugin/fresh/groups").sum, 5);
  EXPECT_EQ(metrics.at("plugin/fresh/groups").count, 2);
}

TEST(Reward, BatchRefusals) {
  RewardBatch batch;
  EXPECT_THAT(error_of([&] { batch.add_sample({.row = 0, .completion = "x"}); }),
              HasSubstr("a sample of row 0; the batch has 0 rows"));
  const json list = json::array();
  EXPECT_THAT(error_of([&] { batch.add_row({.columns = &list}); }), HasSubstr("columns are not an object"));
}

}  // namespace
}  // namespace grpo::plugins
