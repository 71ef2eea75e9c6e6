// The tables of other systems' names, against lists taken from those systems (tests/golden/make/metric_names.py).
#include "grpo/sdk/report/names.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

#include "grpo/sdk/error.hpp"

namespace grpo::report {
namespace {

std::set<std::string> listed(const std::string& system) {
  std::ifstream in(std::string(GRPO_TEST_DATA "/names/") + system + ".txt");
  std::set<std::string> names;
  for (std::string line; std::getline(in, line);) names.insert(line);
  return names;
}

// A step that has everything a run can have, no value twice.
Metrics full_step() {
  Metrics m;
  double value = 1;
  for (const char* name : {"epoch",
                           "reward",
                           "reward_std",
                           "frac_reward_zero_std",
                           "completions/mean_length",
                           "completions/min_length",
                           "completions/max_length",
                           "completions/clipped_ratio",
                           "completions/mean_terminated_length",
                           "completions/min_terminated_length",
                           "completions/max_terminated_length",
                           "prompt_length/mean",
                           "prompt_length/min",
                           "prompt_length/max",
                           "rewards/math/mean",
                           "rewards/math/std",
                           "rewards/math/seconds",
                           "loss",
                           "policy_loss",
                           "kl",
                           "entropy",
                           "entropy_coefficient",
                           "clip_ratio/low_mean",
                           "clip_ratio/low_min",
                           "clip_ratio/high_mean",
                           "clip_ratio/high_max",
                           "clip_ratio/region_mean",
                           "ratio/mean",
                           "ratio/max",
                           "approx_kl",
                           "sampling/logp_difference/mean",
                           "sampling/logp_difference/max",
                           "sampling/importance_ratio/min",
                           "sampling/importance_ratio/mean",
                           "sampling/importance_ratio/max",
                           "sampling/kl",
                           "sampling/kl_k3",
                           "sampling/chi2",
                           "sampling/perplexity/model",
                           "sampling/perplexity/sampler",
                           "sampling/perplexity/ratio",
                           "sampling/rejection/tokens",
                           "sampling/rejection/completions",
                           "sampling/rejection/seq_mean_k1/mean",
                           "sampling/rejection/seq_mean_k1/min",
                           "sampling/rejection/seq_mean_k1/max",
                           "sampling/rejection/seq_mean_k1/high",
                           "sampling/rejection/seq_mean_k1/low",
                           "sampling/rejection/seq_mean_k1/tokens",
                           "sampling/rejection/seq_mean_k1/completions",
                           "grad_norm",
                           "learning_rate",
                           "advantage/mean",
                           "advantage/std",
                           "num_completions",
                           "reward_min",
                           "reward_max",
                           "advantage/min",
                           "advantage/max",
                           "advantage/token_mean",
                           "num_tokens",
                           "timing/rollout",
                           "timing/reward",
                           "timing/old_logp",
                           "timing/reference",
                           "timing/update",
                           "timing/optimizer",
                           "timing/advantage",
                           "timing/weights",
                           "timing/eval",
                           "timing/checkpoint",
                           "mfu",
                           "memory/rss_peak",
                           "memory/device_peak",
                           "eval/accuracy",
                           "eval/accuracy_best@4",
                           "eval/accuracy_majority@4",
                           "eval/reward",
                           "eval/rewards/math/mean",
                           "eval/completions/mean_length",
                           "eval/completions/clipped_ratio",
                           "eval/num_questions"})
    m.set(name, value++);
  double parts = 0;
  for (const auto& [name, seconds] : m)
    if (name.starts_with("timing/") && name != "timing/eval" && name != "timing/checkpoint") parts += seconds;
  m.set("step_time", parts + 0.5);
  return m;
}

std::string filled(std::string name) {
  for (const auto& [what, by] :
       {std::pair{"<reward>", "math"}, {"<data>", "gsm8k"}, {"<n>", "4"}, {"<mode>", "seq_mean_k1"}})
    if (const auto at = name.find(what); at != name.npos) name.replace(at, std::string(what).size(), by);
  return name;
}

const NameSettings settings = {
    .kl_coefficient = 0.04, .processes = 2, .mask_truncated = true, .evaluation = "gsm8k", .evaluation_samples = 4};

TEST(Names, EveryTableIsCompleteAndKnowsNothingElse) {
  for (const auto& system : metric_systems()) {
    const auto wanted = listed(system);
    ASSERT_GT(wanted.size(), 15u) << system;
    std::set<std::string> known;
    for (const auto& entry : metric_name_table(system)) {
      EXPECT_TRUE(known.insert(entry.name).second) << system << " has " << entry.name << " twice";
      EXPECT_TRUE(wanted.contains(entry.name)) << system << " has no " << entry.name;
      EXPECT_FALSE(entry.meaning.empty()) << entry.name;
    }
    for (const auto& name : wanted) EXPECT_TRUE(known.contains(name)) << system << ": " << name;
  }
}

TEST(Names, AStepThatHasEverythingHasEveryNameThatIsNotLeftOut) {
  for (const auto& system : metric_systems()) {
    Metrics m = full_step();
    const std::size_t ours = m.size();
    Metrics in_reward = m;  // the KL is in the loss or in the reward
    in_reward.set("reward_kl_penalty", 0.01);
    MetricNames({system}, settings).add(7, m);
    MetricNames({system}, settings).add(7, in_reward);
    EXPECT_GE(m.size(), ours);
    for (const auto& entry : metric_name_table(system)) {
      const auto in_loss = m.find(filled(entry.name)), value = in_loss ? in_loss : in_reward.find(filled(entry.name));
      EXPECT_EQ(value.has_value(), entry.written) << system << ": " << entry.name << " = " << entry.meaning;
      EXPECT_TRUE(std::isfinite(value.value_or(0))) << entry.name;
    }
  }
}

TEST(Names, AKlInTheRewardHasNamesOfItsOwnInVerl) {
  Metrics m = full_step();
  m.set("reward", 0.5);
  m.set("reward_kl_penalty", 0.125);
  m.set("kl", 0.25);
  m.set("kl_coefficient", 0.0625);
  MetricNames({"verl"}, settings).add(7, m);
  EXPECT_EQ(m.get("actor/reward_kl_penalty"), 0.25);
  EXPECT_EQ(m.get("actor/reward_kl_penalty_coeff"), 0.0625);
  EXPECT_EQ(m.get("critic/score/mean"), 0.5);
  EXPECT_EQ(m.get("critic/rewards/mean"), 0.375);
  EXPECT_FALSE(m.find("actor/kl_loss"));
}

TEST(Names, OursStayAsTheyAreAndComeFirst) {
  const Metrics before = full_step();
  Metrics m = before;
  MetricNames(metric_systems(), settings).add(7, m);
  auto at = m.begin();
  for (const auto& [name, value] : before) {
    EXPECT_EQ(at->first, name);
    EXPECT_EQ(at->second, value) << name;
    ++at;
  }
}

TEST(Names, WhatAStepLacksIsLeftOut) {
  Metrics m;
  m.set("reward", 0.5);
  m.set("kl", std::nan(""));
  MetricNames(metric_systems(), settings).add(1, m);
  EXPECT_EQ(m.get("critic/score/mean"), 0.5);
  EXPECT_FALSE(m.find("actor/kl_loss"));
  EXPECT_FALSE(m.find("e2e_tps"));
  EXPECT_FALSE(m.find("val/reward_score"));
  EXPECT_FALSE(m.find("timing/all"));
}

// EasyR1's reward functions answer a dict, and each key is a metric.
TEST(Names, ComponentsOfARewardHaveEasyR1sNames) {
  Metrics m;
  m.set("reward", 0.5);
  m.set("rewards/overall/mean", 0.25);
  m.set("rewards/overall/errors", 0);
  m.set("rewards/overall/accuracy", 0.75);
  m.set("rewards/other/accuracy", 1);
  m.set("rewards/other/overall", 1);
  MetricNames({"easyr1"}, settings).add(1, m);
  EXPECT_EQ(m.get("reward/overall"), 0.25);
  EXPECT_EQ(m.get("reward/accuracy"), 0.75) << "the first reward's";
  EXPECT_FALSE(m.find("reward/errors"));
}

TEST(Names, MindSpeedsTotalIsAtLeastTheSumOfItsParts) {
  Metrics m = full_step();
  MetricNames({"mindspeed"}, settings).add(1, m);
  double parts = 0;
  for (const char* name :
       {"timing/rollout", "timing/old_log_p", "timing/update", "timing/reference_model", "timing/resharding_to_train",
        "timing/resharding_to_infer", "timing/non_overlap_reference_model", "timing/non_overlap_rule_reward"})
    parts += *m.find(name);
  EXPECT_GE(*m.find("timing/all"), parts);
}

TEST(Names, RatesAndCountsAreWhatTheSystemsDefine) {
  Metrics m;
  m.set("num_completions", 16);
  m.set("completions/mean_length", 50);
  m.set("prompt_length/mean", 30);
  m.set("step_time", 4);
  m.set("timing/rollout", 2);
  m.set("timing/update", 0.5);
  m.set("timing/optimizer", 0.5);
  m.set("rewards/a/mean", 1);
  m.set("rewards/a/x/mean", 9);  // of a component, not a reward
  MetricNames({"mindspeed", "verl", "easyr1", "areal"}, settings).add(3, m);
  EXPECT_DOUBLE_EQ(*m.find("e2e_tps"), (50 + 30) * 16 / 4.0 / 2);
  EXPECT_DOUBLE_EQ(*m.find("vllm_tps"), (50 + 30) * 16 / 2.0 / 2);
  EXPECT_DOUBLE_EQ(*m.find("update_tps"), (50 + 30) * 16 / 1.0 / 2);
  EXPECT_DOUBLE_EQ(*m.find("perf/throughput"), (50 + 30) * 16 / 4.0 / 2);
  EXPECT_DOUBLE_EQ(*m.find("timing_per_token_ms/gen"), 1000 * 2.0 / (16 * 50));
  EXPECT_DOUBLE_EQ(*m.find("n_valid_tokens"), 800);
  EXPECT_DOUBLE_EQ(*m.find("avg_seq_len"), 80);
  EXPECT_DOUBLE_EQ(*m.find("training/global_step"), 3);
  EXPECT_EQ(m.get("reward/a"), 1);
  EXPECT_FALSE(m.find("reward/a/x"));
}

TEST(Names, ThePageIsUpToDate) {
  const char* path = GRPO_SOURCE_DIR "/docs/metric-names.md";
  if (std::getenv("GRPO_WRITE_DOCS")) std::ofstream(path, std::ios::binary) << metric_names_markdown();
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(std::string(std::istreambuf_iterator<char>(in), {}) == metric_names_markdown())
      << path << " is stale: GRPO_WRITE_DOCS=1 " GRPO_BINARY_DIR "/tests/report_test --gtest_filter=Names.*";
}

TEST(Names, AnUnknownSystemIsNamedWithThoseThatThereAre) {
  try {
    MetricNames({"trl", "ray"}, settings);
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("'ray'"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("mindspeed"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace grpo::report
