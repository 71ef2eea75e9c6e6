// What surrounds the algorithm: overlong rules, dynamic sampling, cadences, the epoch line.
#include <gtest/gtest.h>

#include <cmath>

#include "grpo/sdk/train/cadence.hpp"
#include "grpo/sdk/train/collect.hpp"
#include "grpo/sdk/train/dynamic_sampling.hpp"
#include "grpo/sdk/train/epoch_line.hpp"
#include "grpo/sdk/train/overlong.hpp"
#include "support.hpp"

namespace grpo::train {
namespace {

config::Config config_of(const std::vector<std::string>& overrides) {
  return config::load(config::Source{"test", "rewards: [{plugin: a}, {plugin: b, name: second}]\n", {}}, overrides);
}

TEST(Overlong, TheLinearPenaltyIsThatOfTheDapoPaper) {
  // TRL: get_soft_overlong_punishment(max_completion_len=100, soft_punish_cache=20) at 80, 90 and 101 tokens.
  const OverlongOptions o{.rule = OverlongRule::linear, .length = 100, .buffer = 20, .factor = 1};
  EXPECT_EQ(overlong_penalty(o, 80, false), 0);
  EXPECT_EQ(overlong_penalty(o, 90, false), -0.5);
  EXPECT_EQ(overlong_penalty(o, 100, false), -1);
  EXPECT_EQ(overlong_penalty(o, 101, false), -1);
  EXPECT_EQ(overlong_penalty(o, 60, true), -1);  // cut by a limit below L_max
  const OverlongOptions half{.rule = OverlongRule::linear, .length = 100, .buffer = 20, .factor = 0.5};
  EXPECT_EQ(overlong_penalty(half, 90, false), -0.25);
}

TEST(Overlong, EachRuleTouchesWhatItSays) {
  const auto rewards = [](OverlongRule rule) {
    std::vector<Group> groups{group_of({"ab", "abcdefgh", "abcdefgh", "abcd"})};
    auto& samples = groups[0].samples;
    samples[2].finish = GRPO_FINISH_LENGTH;
    for (Sample& s : samples) s.reward = 1;
    samples[3].reward = no_value;
    shape_overlong({.rule = rule, .length = 8, .buffer = 4, .factor = 2}, groups);
    return std::vector<double>{samples[0].reward, samples[1].reward, samples[2].reward, samples[3].reward};
  };
  const auto same = [](const std::vector<double>& a, std::vector<double> b) {
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(a[i], b[i]) << i;
    EXPECT_TRUE(std::isnan(a[3]));
  };
  same(rewards(OverlongRule::none), {1, 1, 1});
  same(rewards(OverlongRule::mask), {1, 1, 1});
  same(rewards(OverlongRule::zero), {1, 1, 0});
  same(rewards(OverlongRule::linear), {1, -1, -1});
}

TEST(Overlong, OtherSystemsSpellingsAndMistakes) {
  const auto o = overlong_of(config_of({"algorithm.overlong=linear", "algorithm.overlong_buffer_len=16",
                                        "algorithm.penalty_factor=0.5", "sampler.max_response_length=64"}));
  EXPECT_EQ(o.length, 64);
  EXPECT_EQ(o.buffer, 16);
  EXPECT_EQ(o.factor, 0.5);
  EXPECT_EQ(overlong_of(config_of({"algorithm.overlong=linear", "algorithm.soft_punish_cache=3",
                                   "algorithm.max_completion_len=9"}))
                .length,
            9);
  const auto refusal = [](const std::vector<std::string>& given) {
    return error_of([&] { overlong_of(config_of(given)); });
  };
  EXPECT_NE(refusal({"algorithm.overlong=linear"}).find("needs algorithm.overlong_buffer"), std::string::npos);
  EXPECT_NE(refusal({"algorithm.overlong_buffer=5"}).find("algorithm.overlong: linear"), std::string::npos);
  EXPECT_NE(refusal({"algorithm.overlong=linear", "algorithm.overlong_buffer=500"}).find("longer than the 256"),
            std::string::npos);
}

Group scored(const std::vector<double>& rewards) {
  Group group = group_of(std::vector<std::string>(rewards.size(), "x"));
  for (std::size_t i = 0; i < rewards.size(); ++i) {
    group.samples[i].reward = rewards[i];
    group.samples[i].scores = {rewards[i], 1 - rewards[i]};
  }
  return group;
}

TEST(DynamicSampling, WhichGroupsAreKept) {
  DynamicSampling o{.keep = DynamicSampling::Keep::varied};
  EXPECT_TRUE(keeps(o, scored({0, 1, 0})));
  EXPECT_FALSE(keeps(o, scored({1, 1, 1})));
  EXPECT_FALSE(keeps(o, scored({1, no_value, 1})));
  EXPECT_FALSE(keeps(o, scored({no_value, no_value})));
  o = {.keep = DynamicSampling::Keep::mean, .low = 0.01, .high = 0.99};
  EXPECT_TRUE(keeps(o, scored({0, 1, 0})));
  EXPECT_TRUE(keeps(o, scored({0.5, 0.5})));
  EXPECT_FALSE(keeps(o, scored({0, 0})));
  EXPECT_FALSE(keeps(o, scored({1, 1})));
  EXPECT_FALSE(keeps(o, scored({no_value})));
  o.low = 0.4, o.high = 0.6, o.reward = 1;
  EXPECT_TRUE(keeps(o, scored({0.5, 0.5})));
  EXPECT_FALSE(keeps(o, scored({0.3, 0.3})));  // the second reward is 0.7
}

// A source of groups of which every third teaches something.
struct Drawn {
  std::vector<std::pair<std::int64_t, std::int64_t>> calls;
  Rollout operator()(std::int64_t count, std::int64_t first) {
    calls.emplace_back(count, first);
    Rollout r;
    for (std::int64_t i = first; i < first + count; ++i) {
      r.groups.push_back(scored(i % 3 == 2 ? std::vector<double>{0, 1} : std::vector<double>{1, 1}));
      r.groups.back().prompt.row = i;
    }
    r.seconds = 1;
    r.scores.metrics.set("rewards/a/mean", 99);
    r.scores.metrics.set("rewards/a/errors", 2);
    r.scores.metrics.set("rewards/a/format", static_cast<double>(first));
    return r;
  }
};

TEST(DynamicSampling, DrawsUntilTheStepIsFullAndNeverSplitsAGroup) {
  DynamicSampling o{.keep = DynamicSampling::Keep::varied, .prompts = 6, .max_resamples = 10};
  Drawn drawn;
  const Rollout step = draw_step(o, {"a", "b"}, std::ref(drawn));
  ASSERT_EQ(step.groups.size(), 6u);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(step.groups[i].prompt.row, static_cast<std::int64_t>(3 * i + 2));
  for (const Group* g : all_groups(step)) EXPECT_EQ(g->samples.size(), 2u);
  std::int64_t total = 0;
  for (const auto& [count, first] : drawn.calls) {
    EXPECT_EQ(first, total);
    EXPECT_LE(count, 6);
    total += count;
  }
  EXPECT_EQ(static_cast<std::int64_t>(step.groups.size() + step.rejected.size()), total);
  EXPECT_EQ(step.resamples + 1, static_cast<std::int64_t>(drawn.calls.size()));
  EXPECT_NEAR(step.kept_share, 1.0 / 3, 0.05);
  EXPECT_EQ(step.seconds, static_cast<double>(drawn.calls.size()));
  // Rewards are told of all that was drawn: two thirds of the groups have two ones, a third one.
  const auto& m = step.scores.metrics;
  EXPECT_NEAR(m.get("rewards/a/mean"), 5.0 / 6, 0.03);
  EXPECT_EQ(m.get("rewards/a/max"), 1);
  EXPECT_EQ(m.get("rewards/a/errors"), 2 * static_cast<double>(drawn.calls.size()));
  double weighted = 0;
  for (const auto& [count, first] : drawn.calls) weighted += static_cast<double>(count * first);
  EXPECT_NEAR(m.get("rewards/a/format"), weighted / static_cast<double>(total), 1e-9);
}

TEST(DynamicSampling, EndsAtMaxResamplesAndIsOffByDefault) {
  DynamicSampling o{.keep = DynamicSampling::Keep::mean, .low = 2, .high = 3, .prompts = 4, .max_resamples = 2};
  Drawn drawn;
  const Rollout step = draw_step(o, {"a", "b"}, std::ref(drawn));
  EXPECT_TRUE(step.groups.empty());
  EXPECT_EQ(step.rejected.size(), 12u);
  EXPECT_EQ(step.resamples, 2);
  EXPECT_EQ(step.kept_share, 0);
  o.keep = DynamicSampling::Keep::all;
  Drawn once;
  EXPECT_EQ(draw_step(o, {"a", "b"}, std::ref(once)).groups.size(), 4u);
  EXPECT_EQ(once.calls.size(), 1u);
}

TEST(DynamicSampling, ConfigurationAndItsMistakes) {
  const auto o = dynamic_sampling_of(config_of({"algorithm.dynamic_sampling=mean", "algorithm.filter_key=second",
                                                "algorithm.filter_low=0.1", "algorithm.filter_high=0.9"}));
  EXPECT_EQ(o.reward, std::optional<std::size_t>(1));
  EXPECT_EQ(o.low, 0.1);
  EXPECT_EQ(o.high, 0.9);
  const auto refusal = [](const std::vector<std::string>& given) {
    return error_of([&] { dynamic_sampling_of(config_of(given)); });
  };
  EXPECT_NE(refusal({"algorithm.dynamic_sampling=varied", "algorithm.dynamic_sampling_reward=third"}).find("a, second"),
            std::string::npos);
  EXPECT_NE(refusal({"algorithm.dynamic_sampling=varied", "algorithm.group_size=1"}).find("group of one"),
            std::string::npos);
  EXPECT_NE(refusal({"algorithm.dynamic_sampling=mean", "algorithm.filter_low=1"}).find("no mean"), std::string::npos);
}

TEST(Cadence, BySteps_EpochsAndSeconds) {
  using std::chrono::seconds;
  const auto start = Cadence::Clock::now();
  Cadence none({}, start);
  EXPECT_FALSE(none.due(4, 0, 9, start + seconds(1000)));
  EXPECT_FALSE(none.every().ever());
  Cadence steps({.steps = 3}, start);
  for (int step = 1; step <= 9; ++step) EXPECT_EQ(steps.due(step, 0, 0, start), step % 3 == 0) << step;
  // Ten steps an epoch, every half of one: after steps 5, 10, 15, 20, though 0.1 is no binary fraction.
  Cadence epochs({.epochs = 0.5}, start);
  for (int step = 1; step <= 20; ++step) {
    double before = 0, now = 0;
    for (int i = 0; i < step; ++i) before = now, now += 0.1;
    EXPECT_EQ(epochs.due(step, before, now, start), step % 5 == 0) << step;
  }
  Cadence timed({.seconds = 10}, start);
  EXPECT_FALSE(timed.due(1, 0, 0, start + seconds(9)));
  EXPECT_TRUE(timed.due(2, 0, 0, start + seconds(12)));
  EXPECT_FALSE(timed.due(3, 0, 0, start + seconds(21)));
  EXPECT_TRUE(timed.due(4, 0, 0, start + seconds(22)));
}

TEST(EpochLine, AsArealWritesIt) {
  const auto text = [](std::int64_t step, std::int64_t total, std::int64_t per) {
    return epoch_line({.step = step,
                       .total_steps = total,
                       .steps_per_epoch = per,
                       .step_seconds = 9.3,
                       .total_seconds = 62,
                       .remaining_seconds = 120});
  };
  EXPECT_EQ(text(6, 19, 19).substr(0, 38), "Epoch 1/1 step 6/19 (global step 6): e");
  EXPECT_NE(text(6, 19, 19).find("9.30s, total time 1m02s, estimated remaining time 2m00s"), std::string::npos)
      << text(6, 19, 19);
  EXPECT_EQ(text(25, 50, 20).substr(0, 37), "Epoch 2/3 step 5/20 (global step 25):");
  EXPECT_EQ(text(41, 50, 20).substr(0, 37), "Epoch 3/3 step 1/10 (global step 41):");  // half an epoch is left
}

TEST(RolloutMetrics, WhereNoneEndedThereIsNoLengthOfThoseThatEnded) {
  Rollout rollout;
  rollout.groups = {group_of({"abc", "defgh"})};
  report::Metrics some, none;
  rollout.groups[0].samples[0].finish = GRPO_FINISH_LENGTH;
  add_rollout_metrics(rollout, some);
  EXPECT_EQ(some.find("completions/mean_terminated_length"), 5);
  rollout.groups[0].samples[1].finish = GRPO_FINISH_LENGTH;
  add_rollout_metrics(rollout, none);
  EXPECT_EQ(none.get("completions/clipped_ratio"), 1);
  EXPECT_EQ(none.get("completions/mean_length"), 4);
  for (const char* what : {"mean", "min", "max"})
    EXPECT_FALSE(none.find(std::string("completions/") + what + "_terminated_length")) << what;
}

}  // namespace
}  // namespace grpo::train
