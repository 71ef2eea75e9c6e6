// An isolated reward is the reward: the same results, services and refusals as in this process.
#include <gmock/gmock.h>

#include <cmath>
#include <set>
#include <thread>

#include "support.hpp"

namespace grpo::plugins {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Letters final : public TokenizerService {
 public:
  std::int64_t vocabulary() const override { return 256; }
  std::int32_t bos() const override { return -1; }
  std::int32_t eos() const override { return 3; }
  std::int32_t pad() const override { return -1; }
  std::vector<std::int32_t> encode(std::string_view text, bool) const override {
    return {reinterpret_cast<const unsigned char*>(text.data()),
            reinterpret_cast<const unsigned char*>(text.data()) + text.size()};
  }
  std::string decode(const std::int32_t* ids, std::int64_t n, bool) const override { return std::string(ids, ids + n); }
};

RewardBatch rich_batch(int rows, int samples) {
  RewardBatch batch(12);
  for (int r = 0; r < rows; ++r) {
    const nlohmann::json record{{"text", std::string(static_cast<std::size_t>(r), 't')},
                                {"level", r},
                                {"ratio", r % 2 ? nlohmann::json(0.5 * r) : nlohmann::json(nullptr)},
                                {"list", {r, r + 1}}};
    const std::vector<std::int32_t> prompt(static_cast<std::size_t>(r % 5), r), ids(static_cast<std::size_t>(r % 7), 2);
    const auto row = batch.add_row({.prompt = "prompt " + std::to_string(r),
                                    .messages = "[]",
                                    .ground_truth = std::string_view("a\0b", 3),
                                    .prompt_ids = prompt,
                                    .columns = &record});
    for (int s = 0; s < samples; ++s)
      batch.add_sample({.row = row,
                        .index = s,
                        .completion = s == 1 ? "na" : "é" + std::string(static_cast<std::size_t>(s * 31), 'c'),
                        .finish = s % 2 ? GRPO_FINISH_LENGTH : GRPO_FINISH_STOP,
                        .ids = ids});
  }
  return batch;
}

void expect_equal(const RewardScores& a, const RewardScores& b) {
  ASSERT_EQ(a.score.size(), b.score.size());
  for (std::size_t i = 0; i < a.score.size(); ++i) {
    ASSERT_EQ(std::isnan(a.score[i]), std::isnan(b.score[i])) << i << ": " << b.message[i];
    if (!std::isnan(a.score[i])) {
      ASSERT_EQ(a.score[i], b.score[i]) << i;
    }
  }
  EXPECT_EQ(a.status, b.status);
  EXPECT_EQ(a.message, b.message);
  ASSERT_EQ(a.components.size(), b.components.size());
  for (const auto& [name, column] : a.components) {
    ASSERT_TRUE(b.components.contains(name)) << name;
    for (std::size_t i = 0; i < column.size(); ++i)
      EXPECT_TRUE(column[i] == b.components.at(name)[i] ||
                  (std::isnan(column[i]) && std::isnan(b.components.at(name)[i])));
  }
}

class Isolated : public testing::Test {
 protected:
  Reward gentle(Log& log, bool apart, const IsolateSettings& settings = quick()) {
    const nlohmann::json options{{"factor", 1.5}, {"words", {"x", "y"}}};
    const OpenSettings how{
        .services = log.services(std::make_shared<Letters>()), .where = {}, .label = "g", .progress = {}};
    return apart ? Reward(isolated(registry_, GRPO_REWARD_ID, "gentle", settings), options, how)
                 : Reward(registry_, "gentle", options, how);
  }
  Registry registry_ = isolation_registry();
};

TEST_F(Isolated, ScoresAreThoseOfThisProcess) {
  Log here, there;
  Reward inside = gentle(here, false), outside = gentle(there, true);
  EXPECT_EQ(outside.name(), "gentle");
  EXPECT_EQ(outside.component().version, "1.2.3");
  EXPECT_TRUE(outside.whole_groups());
  EXPECT_TRUE(inside.concurrent());
  EXPECT_FALSE(outside.concurrent()) << "one process takes one call at a time";
  for (const auto& [rows, samples] : {std::pair(1, 1), std::pair(3, 4), std::pair(40, 8), std::pair(2, 3)}) {
    const RewardBatch batch = rich_batch(rows, samples);
    expect_equal(inside.score(batch), outside.score(batch));
  }
  expect_equal(inside.score(RewardBatch()), outside.score(RewardBatch()));
  // A failing call carries the plugin's text.
  const RewardScores failed = outside.score(batch_of({"x", "fail"}));
  EXPECT_THAT(failed.message[0], AllOf(HasSubstr("plugin 'gentle' ("), HasSubstr("score: the judge said no (failed)")));
  expect_equal(inside.score(batch_of({"x", "fail"})), failed);
  EXPECT_EQ(here.text(), there.text());
  EXPECT_THAT(there.text(), AllOf(HasSubstr("g: open"), HasSubstr("g: scored")));
}

TEST_F(Isolated, MetricsArrive) {
  Log log;
  const auto services = log.services();
  Reward reward(isolated(registry_, GRPO_REWARD_ID, "gentle", quick()), nullptr,
                {.services = services, .where = {}, .label = "g", .progress = {}});
  reward.score(batch_of({"a", "b", "c"}));
  EXPECT_EQ(services->take_metrics().at("plugin/g/samples").count, 3);
}

TEST_F(Isolated, WithoutServices) {
  Reward reward(isolated(registry_, GRPO_REWARD_ID, "gentle", quick()), nullptr);
  EXPECT_EQ(reward.score(batch_of({"a"})).count(GRPO_SAMPLE_OK), 1);
}

TEST_F(Isolated, IsBehindTheLayerOfItsRegistry) {
  std::vector<std::string> behind;
  RegistrySettings settings;
  settings.layer = [&](std::shared_ptr<const Component> c) {
    behind.push_back(c->manifest.name);
    EXPECT_NE(c->table, nullptr);
    return c;
  };
  Registry registry(settings);
  for (const Manifest& m : registry_.manifests()) registry.add_file(m.path);
  Reward reward(isolated(registry, GRPO_REWARD_ID, "gentle", quick()), nullptr);
  EXPECT_EQ(reward.score(batch_of({"a"})).count(GRPO_SAMPLE_OK), 1);
  EXPECT_EQ(behind, std::vector<std::string>{"gentle"});
}

TEST_F(Isolated, LargeBatches) {
  Log here, there;
  Reward inside = gentle(here, false), outside = gentle(there, true);
  RewardBatch batch;
  const auto row = batch.add_row({.prompt = std::string(1 << 20, 'p')});
  for (int i = 0; i < 20; ++i)
    batch.add_sample({.row = row, .completion = std::string(static_cast<std::size_t>(i) << 14, 'c')});
  expect_equal(inside.score(batch), outside.score(batch));
}

TEST_F(Isolated, SeveralProcesses) {
  Log log;
  IsolateSettings settings = quick();
  settings.children = 3;
  Reward reward = gentle(log, true, settings);
  EXPECT_TRUE(reward.concurrent());
  Log here;
  Reward inside = gentle(here, false);
  const RewardBatch batch = rich_batch(4, 4);
  const RewardScores expected = inside.score(batch);
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 6; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 10; ++i) right += reward.score(batch).count(GRPO_SAMPLE_OK) == expected.count(GRPO_SAMPLE_OK);
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 60);
  EXPECT_EQ(reward.score(batch).score[0], expected.score[0]);
}

TEST_F(Isolated, ThePluginIsNotInThisProcess) {
  Reward alone(isolated(registry_, GRPO_REWARD_ID, "hostile_alone", quick()), nullptr);
  const RewardScores s = alone.score(batch_of({"a"}));
  EXPECT_NE(s.score[0], static_cast<double>(::getpid()));
  EXPECT_EQ(alone.score(batch_of({"a"})).score[0], s.score[0]) << "the process stays from call to call";
}

TEST_F(Isolated, Refusals) {
  IsolateSettings three = quick();
  three.children = 3;
  EXPECT_THAT(
      error_of([&] { isolated(registry_, GRPO_REWARD_ID, "hostile_alone", three); }),
      AllOf(HasSubstr("plugin 'hostile_alone' ("), HasSubstr("takes one call at a time"), HasSubstr("children")));
  three.children = 0;
  three.threads = 3;  // as many as are of use
  EXPECT_FALSE((isolated(registry_, GRPO_REWARD_ID, "hostile_alone", three)->table->flags & GRPO_REWARD_CONCURRENT) !=
               0);
  registry_.add_file(GRPO_BINARY_DIR "/tests/fakes/fake_model.so");
  EXPECT_THAT(
      error_of([&] { isolated(registry_, "grpo.model/1", "fake"); }),
      AllOf(HasSubstr("a plugin of the kind model cannot run in a process of its own"), HasSubstr("Rewards can")));
  EXPECT_THAT(error_of([&] { isolated(registry_, GRPO_REWARD_ID, "gentel"); }), HasSubstr("did you mean 'gentle'?"));
  EXPECT_THAT(error_of([&] { isolated(registry_, GRPO_REWARD_ID, "gentle", {.program = "/nowhere/helper"}); }),
              HasSubstr("cannot start /nowhere/helper: No such file"));
  Registry broken({.host_name = "t", .probe = {}, .isolate_first_load = false, .probe_seconds = 1, .probe_cache = {}});
  broken.add_directory(FAULTS);
  EXPECT_THAT(error_of([&] { isolated(broken, GRPO_REWARD_ID, "segfaults", quick()); }),
              AllOf(HasSubstr("plugin 'segfaults' ("), HasSubstr("killed by SIGSEGV"),
                    HasSubstr("while the library was loaded")));
  EXPECT_THAT(error_of([&] { isolated(broken, GRPO_REWARD_ID, "refuses", quick()); }),
              HasSubstr("refused to work here"));
}

}  // namespace
}  // namespace grpo::plugins
