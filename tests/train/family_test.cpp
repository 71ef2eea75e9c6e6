// Every part of the algorithm family where it acts: in an update over the fake model, and from a key of a run's
// configuration. The numbers themselves are checked in tests/algorithm.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "grpo/sdk/config/config.hpp"
#include "grpo/sdk/train/stage.hpp"
#include "grpo/sdk/train/update.hpp"
#include "support.hpp"

namespace grpo::train {
namespace fs = std::filesystem;
namespace {

// A model that does not learn (rate 0), so that every call sees the same weights.
class Part : public testing::Test {
 protected:
  void SetUp() override { optimizer.bind(model); }

  // Two groups with advantages; what the sampler reported is off by `log_rho` from what the model says.
  std::vector<Group> groups(double log_rho = 0) {
    std::vector<Group> all = {group_of({"abcdef", "gh", "ijkl"}), group_of({"mnop", "", "qrstuv"}, 5)};
    Updater(model, &model, optimizer, {}).prepare(all);
    double advantage = -1;
    for (Group& g : all)
      for (Sample& s : g.samples) {
        s.advantage = advantage, advantage += 0.4;
        for (const float l : s.old_logprob) s.logprob.push_back(l - static_cast<float>(log_rho));
        s.old_logprob.clear(), s.reference_logprob.clear();
      }
    return all;
  }
  UpdateReport run(const UpdateOptions& options, std::vector<Group> all) {
    clock.done = 0;
    Updater updater(model, &model, optimizer, options);
    return updater.update(all, clock);
  }
  std::map<std::string, double> metrics(const UpdateReport& report) {
    const auto values = report.objective.values();
    return {values.begin(), values.end()};
  }

  plugins::Registry registry = test_registry();
  plugins::Model model{registry, "fake", nlohmann::json::object()};
  plugins::Optimizer optimizer{registry, "adamw", nlohmann::json::object()};
  StepClock clock{0, [](std::int64_t) { return 0.0; }};
};

TEST_F(Part, TheCutIntoMicroBatchesChangesNothing) {
  using algorithm::RolloutCorrection;
  int compared = 0;
  for (const auto name : algorithm::objective_names())
    for (const int with : {0, 1, 2}) {
      UpdateOptions options{.objective = algorithm::objective_options(name), .max_completion_length = 8};
      options.objective.clip_cov_ratio = options.objective.kl_cov_ratio = 0.3;
      options.objective.clip_cov_low = 0.01;
      if (with == 1) options.weights = {.correction = RolloutCorrection::token_mask, .top_entropy_quantile = 0.4};
      if (with == 2) options.weights = {.off_policy_threshold = 0.1, .top_entropy_quantile = 0.7};
      if (with == 2) options.objective.entropy_coefficient = 0.1;
      const auto all = groups(with == 1 ? 0.2 : -0.2);
      const UpdateReport whole = run(options, all);
      EXPECT_EQ(whole.microbatches, 1);
      EXPECT_GT(whole.grad_norm, 1e-4) << name << with;
      options.max_tokens_per_microbatch = 9;
      const UpdateReport cut = run(options, all);
      EXPECT_GT(cut.microbatches, 1);
      EXPECT_NEAR(cut.grad_norm, whole.grad_norm, 2e-5 * whole.grad_norm) << name << with;
      EXPECT_NEAR(cut.objective.loss, whole.objective.loss, 1e-5) << name << with;
      const auto a = metrics(cut), b = metrics(whole);
      ASSERT_EQ(a.size(), b.size());
      for (const auto& [key, value] : b) EXPECT_NEAR(a.at(key), value, 1e-5) << name << " " << key;
      ++compared;
    }
  EXPECT_EQ(compared, 17 * 3);
}

TEST_F(Part, PiecesAreTheWholeWhereTheyAreAllowed) {
  std::vector<std::string> refused;
  for (const auto name : algorithm::objective_names()) {
    UpdateOptions options{.objective = algorithm::objective_options(name),
                          .weights = {.correction = algorithm::RolloutCorrection::token_truncate,
                                      .correction_max = 1.1,
                                      .off_policy_threshold = 0.01},
                          .max_completion_length = 8};
    auto all = groups(0.2);
    Updater updater(model, &model, optimizer, options);
    if (!updater.can_take_pieces()) {
      refused.emplace_back(name);
      continue;
    }
    clock.done = 0;
    updater.begin(6);
    for (Group& group : all) {
      updater.prepare({&group, 1});
      updater.accumulate({&group, 1});
    }
    const UpdateReport pieces = updater.finish(clock), whole = run(options, groups(0.2));
    EXPECT_NEAR(pieces.grad_norm, whole.grad_norm, 2e-5 * whole.grad_norm) << name;
    EXPECT_GT(pieces.reference_seconds, 0);
    const auto a = metrics(pieces), b = metrics(whole);
    ASSERT_EQ(a.size(), b.size());
    for (const auto& [key, value] : b) EXPECT_NEAR(a.at(key), value, 1e-5) << name << " " << key;
  }
  EXPECT_THAT(refused, testing::ElementsAre("clip_cov", "kl_cov"));  // they choose among all tokens of the step
}

TEST_F(Part, ARolloutCorrectionIsAFactorOnTheGradientAndIsTold) {
  const double norm = run({}, groups()).grad_norm, log_4 = std::log(4);
  const auto with = [&](algorithm::RolloutCorrection kind, std::optional<double> max, double log_rho) {
    return run({.weights = {.correction = kind, .correction_max = max}}, groups(log_rho));
  };
  using enum algorithm::RolloutCorrection;
  EXPECT_NEAR(with(token_truncate, {}, log_4).grad_norm, 4 * norm, 1e-4 * norm);
  EXPECT_NEAR(with(token_truncate, 3.0, log_4).grad_norm, 3 * norm, 1e-4 * norm);
  EXPECT_NEAR(with(token_mask, 3.0, log_4).grad_norm, 0, 1e-9);
  EXPECT_NEAR(with(token_mask, 5.0, log_4).grad_norm, 4 * norm, 1e-4 * norm);
  // Rows of 6, 2, 4, 4 and 6 tokens: the whole completion's weight is 4 to that power.
  const auto rows = metrics(with(sequence_truncate, 300.0, log_4));
  EXPECT_NEAR(rows.at("sampling/importance_ratio/min"), 16, 1e-3);
  EXPECT_NEAR(rows.at("sampling/importance_ratio/max"), 300, 1e-3);
  EXPECT_NEAR(rows.at("sampling/importance_ratio/mean"), (300 + 16 + 256 + 256 + 300) / 5.0, 1e-2);
  EXPECT_NEAR(rows.at("sampling/logp_difference/mean"), log_4, 1e-5);
  EXPECT_FALSE(metrics(run({}, groups())).contains("sampling/importance_ratio/mean"));
}

TEST_F(Part, TheRatioMayBeToTheSampler) {
  const UpdateOptions options{.weights = {.old_from_sampler = true}, .minibatches = 2};
  const auto report = run(options, groups(std::log(1.1)));
  EXPECT_NEAR(report.objective.ratio.value(), 1.1, 1e-4);
  EXPECT_EQ(report.old_logp_seconds, 0);  // no pass for them
  EXPECT_NEAR(run({.minibatches = 2}, groups(std::log(1.1))).objective.ratio.value(), 1, 1e-6);
}

TEST_F(Part, OffPolicyCompletionsThatWentWrongAreLeftOut) {
  const auto far = groups(-0.5);  // the sampler thought them e^0.5 as likely a token
  auto good = far;
  for (Group& g : good)
    for (Sample& s : g.samples) s.advantage = std::max(s.advantage, 0.0);
  const UpdateOptions masked{.weights = {.off_policy_threshold = 0.4}}, loose{.weights = {.off_policy_threshold = 0.6}};
  EXPECT_NEAR(run(masked, far).grad_norm, run({}, good).grad_norm, 1e-6);
  EXPECT_EQ(run(loose, far).grad_norm, run({}, far).grad_norm);
  EXPECT_NE(run(masked, far).grad_norm, run({}, far).grad_norm);
}

// Completions whose tokens are off by 0.01, 0.02, ... in the logarithm, every other token the other way.
std::vector<Group> drifted(std::vector<Group> all) {
  float by = 0;
  for (Group& g : all)
    for (Sample& s : g.samples) {
      by += 0.01f;
      for (std::size_t t = 0; t < s.logprob.size(); ++t) s.logprob[t] += t % 2 ? by : -by;
    }
  return all;
}

TEST_F(Part, RejectedCompletionsAreOutOfTheLossAndTheRestWeighsMore) {
  const auto all = drifted(groups());  // rows of 6, 2, 4, 4, 0 and 6 tokens; k2 from 5e-5 to 18e-4
  auto left = all;
  left[1].samples[0].advantage = left[1].samples[2].advantage = 0;
  const UpdateOptions plain{},
      rejecting{.weights = {.rejection = algorithm::rejection_criteria("seq_max_k2", "0.0006")}};
  const auto report = run(rejecting, all);
  EXPECT_NEAR(report.grad_norm, run(plain, left).grad_norm * 22 / 12, 1e-5) << "12 of 22 tokens are left";
  const auto values = report.rejection.values();
  const std::map<std::string, double> told(values.begin(), values.end());
  EXPECT_NEAR(told.at("sampling/rejection/tokens"), 10 / 22.0, 1e-12);
  EXPECT_NEAR(told.at("sampling/rejection/completions"), 2 / 5.0, 1e-12);
  EXPECT_NEAR(told.at("sampling/rejection/seq_max_k2/max"), 0.06 * 0.06 / 2, 1e-6);
  EXPECT_EQ(report.objective.tokens, 12);
  EXPECT_EQ(report.divergence.kl.count, 22) << "of all tokens, rejected or not";
  EXPECT_GT(report.divergence.kl_k3.value(), 1e-4);
  EXPECT_TRUE(run(plain, all).divergence.values().empty());
  EXPECT_GT(report.old_logp_seconds, 0);
}

TEST_F(Part, ARejectionIsOfTheStepHoweverItIsCut) {
  const auto all = drifted(groups());
  for (const char* mode : {"token_k2", "seq_mean_k2", "m2"}) {
    UpdateOptions options{.objective = algorithm::objective_options("grpo"),
                          .weights = {.correction = algorithm::RolloutCorrection::sequence_truncate,
                                      .rejection = algorithm::rejection_criteria(mode, "0.0006")}};
    const auto whole = run(options, all);
    EXPECT_GT(whole.rejection.tokens.value(), 0) << mode;
    EXPECT_LT(whole.rejection.tokens.value(), 1) << mode;
    options.max_tokens_per_microbatch = 9;
    const auto cut = run(options, all);
    EXPECT_GT(cut.microbatches, 1);
    EXPECT_NEAR(cut.grad_norm, whole.grad_norm, 2e-5 * whole.grad_norm) << mode;
    EXPECT_EQ(cut.rejection.values(), whole.rejection.values()) << mode;
    EXPECT_EQ(metrics(cut).at("sampling/importance_ratio/mean"), metrics(whole).at("sampling/importance_ratio/mean"));
    EXPECT_FALSE(Updater(model, &model, optimizer, options).can_take_pieces());
  }
}

// verl's bypass mode: by what the model says now, of the policy term alone, over all tokens of the step.
TEST_F(Part, ByTheSamplersWordEachPassRejectsForItself) {
  const auto all = drifted(groups());
  auto left = all;
  left[1].samples[0].advantage = left[1].samples[2].advantage = 0;
  const WeightOptions sampler{.old_from_sampler = true},
      rejecting{.old_from_sampler = true, .rejection = algorithm::rejection_criteria("seq_max_k2", "0.0006")};
  const auto report = run({.weights = rejecting}, all);
  EXPECT_NEAR(report.grad_norm, run({.weights = sampler}, left).grad_norm, 1e-6);
  EXPECT_NEAR(report.rejection.tokens.value(), 10 / 22.0, 1e-12);
  EXPECT_EQ(report.old_logp_seconds, 0);
  EXPECT_EQ(report.divergence.kl.count, 22);
  EXPECT_GT(report.divergence.kl_k3.value(), 1e-4);
  // Of each completion 1 - 3 tokens stay, and its mean is theirs.
  const WeightOptions tokens{.old_from_sampler = true,
                             .rejection = algorithm::rejection_criteria("token_k1", "0.5_1.015")};
  UpdateOptions by_row{.objective = algorithm::objective_options("grpo"), .weights = tokens};
  by_row.objective.clip_low = by_row.objective.clip_high = 0.9;
  auto flat = all;
  for (Group& g : flat)
    for (Sample& s : g.samples) s.advantage = 1;
  EXPECT_NEAR(run(by_row, flat).objective.policy_loss, -5 / 6.0, 0.05) << "not half of it";
}

TEST_F(Part, WhatNeedsTheSamplersWordSaysSoWhereItIsMissing) {
  auto silent = groups();
  for (Group& g : silent)
    for (Sample& s : g.samples) s.logprob.clear();
  const auto told = [&](const WeightOptions& weights, const std::vector<Group>& all) {
    return error_of([&] { run({.weights = weights}, all); });
  };
  using testing::HasSubstr;
  const WeightOptions correcting{.correction = algorithm::RolloutCorrection::token_mask},
      by_sampler{.old_from_sampler = true};
  EXPECT_THAT(told(correcting, silent), HasSubstr("algorithm.rollout_correction needs the log-probabilities"));
  EXPECT_THAT(told(by_sampler, silent), HasSubstr("algorithm.old_logprobs needs"));
  EXPECT_THAT(told({.rejection = algorithm::rejection_criteria("m2", "1")}, silent),
              HasSubstr("algorithm.rollout_rejection needs"));
  EXPECT_THAT(told({.off_policy_threshold = 1}, silent), HasSubstr("algorithm.off_policy_mask_threshold needs"));
  auto one = groups();
  one[0].samples[0].logprob.clear();
  EXPECT_EQ(told(correcting, one), "nothing was thrown");
  EXPECT_THAT(told(by_sampler, one), HasSubstr("algorithm.old_logprobs"));
}

TEST(ObjectiveOfAConfiguration, IsThePapersWhereNothingIsGiven) {
  for (const auto name : algorithm::objective_names()) {
    const config::Source source{"test", "algorithm: {objective: " + std::string(name) + "}", {}};
    const auto of_config = objective_of(config::load(source)), own = algorithm::objective_options(name);
    EXPECT_EQ(of_config.term, own.term) << name;
    EXPECT_EQ(of_config.ratio, own.ratio) << name;
    EXPECT_EQ(of_config.aggregation, own.aggregation) << name;
    EXPECT_EQ(of_config.covariance, own.covariance) << name;
    EXPECT_EQ(of_config.clip_low, own.clip_low) << name;
    EXPECT_EQ(of_config.clip_high, own.clip_high) << name;
    EXPECT_EQ(of_config.cispo_max_ratio, own.cispo_max_ratio) << name;
  }
}

// Whole runs. What a key changes must show in the gradients or in what is measured.
class Family : public testing::Test {
 protected:
  void SetUp() override {
    copy_demo_model(dir / "model");
    std::string rows;
    for (int i = 0; i < 12; ++i)
      rows += nlohmann::json{{"prompt", std::to_string(i) + "+1="}, {"answer", std::to_string(i + 1)}}.dump() + "\n";
    write(dir / "data.jsonl", rows);
    write(dir / "run.yaml", R"(run: {output_dir: out, max_steps: 2, seed: 5}
data: {path: data.jsonl, raw_prompt: true}
model: {plugin: fake, path: model}
sampler: {max_new_tokens: 8}
rewards: [{plugin: length, options: {form: short, minimum: 1, maximum: 8}}, {plugin: length, name: long, weight: 0.3, options: {form: long, minimum: 1, maximum: 5}}]
algorithm: {group_size: 4, prompts_per_step: 4, iterations: 2, minibatches: 2}
optimizer: {learning_rate: 0.05, max_grad_norm: 0}
checkpoint: {final: false, dtype: bfloat16}
)");
  }
  StageSettings settings(const std::string& overrides) {
    std::vector<std::string> each;
    std::istringstream words(overrides);
    for (std::string word; words >> word;) each.push_back(word.find('.') < word.find('=') ? word : "algorithm." + word);
    StageSettings s;
    s.config = config::load(dir / "run.yaml", each);
    s.plugin_directories = {GRPO_BINARY_DIR "/tests/fakes/fake_model.so", GRPO_PLUGIN_DIR "/sampler_local.so",
                            GRPO_PLUGIN_DIR "/optimizer_adamw.so", GRPO_PLUGIN_DIR "/reward_length.so"};
    return s;
  }
  std::vector<nlohmann::json> run(const std::string& overrides) {
    fs::remove_all(dir / "out");
    train(settings(overrides));
    return metrics_of(dir / "out");
  }
  // Gradients of both steps, under the objective that the words describe.
  std::vector<double> gradients(const std::string& overrides) {
    std::vector<double> all;
    for (const auto& m : run(overrides)) all.push_back(m.at("grad_norm").get<double>());
    EXPECT_EQ(all.size(), 2u) << overrides;
    return all;
  }
  Scratch dir;
};

TEST_F(Family, EveryKeyActs) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> keys = {
      {"",
       {"objective=gmpo", "objective=kl_cov", "aggregation=sequence_sum", "ratio=sequence", "top_entropy_quantile=0.5",
        "rollout_correction=token_mask rollout_correction_max=0.5", "off_policy_mask_threshold=0.0001",
        "kl_coefficient=0.1", "advantage=rloo", "advantage=opo", "advantage=passk", "advantage=gdpo",
        "advantage=reinforce_pp", "advantage=reinforce_pp_baseline", "advantage=batch", "advantage=none",
        "objective=gpg", "advantage=gpg"}},
      {"objective=cispo", {"cispo_min_ratio=1.05", "cispo_max_ratio=0.9"}},
      {"objective=sapo", {"sapo_temperature_positive=3", "sapo_temperature_negative=3"}},
      {"objective=vespo",
       {"vespo_k_positive=1", "vespo_lambda_positive=1", "vespo_k_negative=1", "vespo_lambda_negative=1",
        "rollout_correction=token_truncate rollout_correction_max=0.97"}},
      {"objective=gmpo", {"clip_low=0.001", "clip_high=0.001"}},
      {"objective=dppo_tv clip_low=0.002 clip_high=0.002",
       {"clip_low=0.0001", "clip_high=0.0001", "delta=0.5", "objective=dppo_kl"}},
      {"objective=dro", {"dro_beta=2"}},
      {"objective=dppo_kl", {"clip_low=0.0001", "clip_high=0.0001", "delta=0.5"}},
      {"objective=clip_cov clip_cov_low=0", {"clip_cov_ratio=0.5", "clip_cov_low=0.3", "clip_cov_high=0.01"}},
      {"objective=kl_cov kl_cov_ratio=0.2", {"kl_cov_ratio=0.6", "kl_cov_coefficient=3"}},
      {"kl_coefficient=0.5",
       {"kl_estimator=k1", "kl_estimator=k2", "kl_estimator=abs", "kl_estimator=k3+", "kl_in_reward=true",
        "kl_control=adaptive kl_horizon=10"}},
      {"kl_coefficient=0.5 kl_control=adaptive kl_horizon=20", {"kl_target=0.0001", "kl_horizon=100"}},
      {"kl_coefficient=0.5 kl_in_reward=true", {"kl_estimator=k3", "advantage=reinforce_pp"}},
      {"advantage=reinforce_pp", {"gamma=0.5"}},
      {"rollout_correction=token_truncate", {"rollout_correction_min=1.5", "rollout_correction_max=0.5"}},
      {"rollout_correction=token_truncate rollout_correction_max=0.5", {"rollout_correction_normalize=true"}},
      {"rollout_rejection=token_k1 rollout_rejection_threshold=0.5_2", {"rollout_rejection_threshold=1.1_2"}},
      {"old_logprobs=sampler", {"rollout_rejection=seq_max_k2 rollout_rejection_threshold=0.0001"}},
      {"top_entropy_quantile=0.5", {"top_entropy_quantile=0.2"}},
      {"entropy_coefficient=0.1", {"adaptive_entropy=true"}},
      {"entropy_coefficient=0.1 adaptive_entropy=true entropy_target=10",
       {"entropy_target=0.001", "entropy_coefficient_delta=0.1", "entropy_coefficient_max=0.05"}},
  };
  int compared = 0;
  for (const auto& [base, changes] : keys) {
    const auto before = gradients(base);
    for (const std::string& change : changes) {
      EXPECT_NE(gradients(base + " " + change), before) << base << " | " << change;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 63);
}

TEST_F(Family, NamesOfTrlAndVerlMeanTheSame) {
  const std::vector<std::pair<std::string, std::string>> pairs = {
      {"objective=gmpo", "loss_mode=geo_mean"},
      {"objective=dapo aggregation=sequence_mean", "loss_mode=vanilla loss_agg_mode=seq-mean-token-mean"},
      {"objective=grpo", "loss_type=dapo aggregation=sequence_mean"},
      {"objective=dapo ratio=sequence", "importance_sampling_level=sequence"},
      {"advantage=reinforce_pp_baseline", "adv_estimator=reinforce_plus_plus_baseline"},
      {"advantage=gdpo", "advantage=normalize_then_sum"},
      {"kl_coefficient=0.5 kl_estimator=k3+", "beta=0.5 kl_loss_type=low_var_kl+"},
      {"kl_coefficient=0.5 kl_in_reward=true", "kl_coef=0.5 use_kl_in_reward=true kl_penalty=kl"},
      {"delta=1.5", "clip_ratio_c=1.5"},
      {"entropy_coefficient=0.1 adaptive_entropy=true entropy_target=10",
       "entropy_coef=0.1 use_adaptive_entropy=true entropy_target=10"},
      {"rollout_correction=token_truncate rollout_correction_max=0.5 rollout_correction_normalize=true",
       "rollout_is=token rollout_is_threshold=0.5 rollout_is_batch_normalize=true"},
      {"old_logprobs=sampler rollout_rejection=seq_max_k2,token_k3 rollout_rejection_threshold=0.0001",
       "old_logprobs=sampler rollout_rs=seq_max_k2,token_k3 rollout_rs_threshold=0.0001"},
      {"clip_low=0.1", "clip_ratio=0.1 clip_high=0.1"},
  };
  for (const auto& [ours, theirs] : pairs) EXPECT_EQ(gradients(ours), gradients(theirs)) << theirs;
}

// The reward's own number stays what the rewards said; what the KL took off it is told beside it.
TEST_F(Family, AKlInTheRewardIsToldAndLeavesTheRewardsAlone) {
  const auto plain = run(""), penalised = run("kl_coefficient=0.5 kl_in_reward=true");
  EXPECT_EQ(penalised[0]["reward"], plain[0]["reward"]);
  EXPECT_EQ(penalised[0]["kl"], 0);  // the reference is where it starts
  EXPECT_NE(penalised[1]["reward_kl_penalty"].get<double>(), 0);
  EXPECT_FALSE(plain[0].contains("kl"));
}

TEST_F(Family, AnAdaptiveKlGoesOnFromTheCheckpoint) {
  const std::string adaptive =
      "kl_coefficient=0.5 kl_control=adaptive kl_target=0.0001 kl_horizon=20 checkpoint.final=true run.max_steps=";
  for (const std::string where : {"", "kl_in_reward=true "}) {
    const auto whole = run(where + adaptive + "3");
    EXPECT_EQ(whole[0]["kl_coefficient"], 0.5);
    EXPECT_NE(whole[1]["kl_coefficient"], 0.5);
    EXPECT_NE(whole[2]["kl_coefficient"], whole[1]["kl_coefficient"]);
    run(where + adaptive + "2");
    const auto state = nlohmann::json::parse(read(dir / "out/checkpoint-2/trainer_state.json"));
    EXPECT_EQ(state["kl_coefficient"], whole[2]["kl_coefficient"]);
    train(settings(where + adaptive + "3 run.resume=must"));
    const auto resumed = metrics_of(dir / "out").back();
    EXPECT_EQ(resumed["kl_coefficient"], whole[2]["kl_coefficient"]);
    EXPECT_EQ(resumed["grad_norm"], whole[2]["grad_norm"]);
  }
}

TEST_F(Family, AnAdaptiveEntropyBonusGoesOnFromTheCheckpoint) {
  const std::string adaptive =
      "adaptive_entropy=true entropy_target=10 entropy_coefficient_delta=0.01 checkpoint.final=true run.max_steps=";
  const auto whole = run(adaptive + "3");
  EXPECT_NEAR(whole[0]["entropy_coefficient"].get<double>(), 0.04, 1e-12) << "four optimizer steps";
  EXPECT_NEAR(whole[2]["entropy_coefficient"].get<double>(), 0.12, 1e-12);
  run(adaptive + "2");
  const auto state = nlohmann::json::parse(read(dir / "out/checkpoint-2/trainer_state.json"));
  EXPECT_EQ(state["entropy_coefficient"], whole[1]["entropy_coefficient"]);
  EXPECT_GT(state["last_entropy"].get<double>(), 0);
  train(settings(adaptive + "3 run.resume=must"));
  std::ifstream in(dir / "out/metrics.jsonl");
  std::string line, last;
  while (std::getline(in, line)) last = line;
  const auto resumed = nlohmann::json::parse(last);
  EXPECT_EQ(resumed["entropy_coefficient"], whole[2]["entropy_coefficient"]);
  EXPECT_EQ(resumed["grad_norm"], whole[2]["grad_norm"]);
  EXPECT_FALSE(run("")[0].contains("entropy_coefficient"));
}

// All weights are the bound here, so that their mean takes them back to 1.
TEST_F(Family, NormalizedCorrectionsDoNotChangeTheStrengthOfAStep) {
  const std::string half = "rollout_correction=token_truncate rollout_correction_max=0.5 ";
  const auto plain = gradients(""), halved = gradients(half),
             whole = gradients(half + "rollout_correction_normalize=true");
  EXPECT_NEAR(halved[0], plain[0] / 2, 1e-5 * plain[0]);
  EXPECT_NEAR(whole[0], plain[0], 1e-5 * plain[0]);
  for (const std::string cut : {"max_tokens_per_microbatch=16", "iterations=1 minibatches=1"})
    EXPECT_NEAR(gradients(half + "rollout_correction_normalize=true " + cut)[0], gradients(cut)[0], 1e-5 * plain[0])
        << cut;
}

// A nucleus of half the probability doubles what is in it at most.
TEST_F(Family, WhatATruncationTakesAwayIsTold) {
  const auto cut = run("sampler.top_p=0.5"), whole = run("");
  EXPECT_GT(cut[0]["sampling/truncation_difference/mean"].get<double>(), 0.01);
  EXPECT_LE(cut[0]["sampling/truncation_difference/max"].get<double>(), std::log(2) + 1e-3);
  EXPECT_LT(cut[0]["sampling/logp_difference/max"].get<double>(), 1e-3) << "trained on is what was before the cut";
  EXPECT_FALSE(whole[0].contains("sampling/truncation_difference/mean"));
}

TEST_F(Family, TheSamplersWordAsOldLogProbabilitiesSavesAPass) {
  const auto model = run(""), sampler = run("old_logprobs=sampler");
  EXPECT_TRUE(model[0].contains("sampling/logp_difference/mean"));
  EXPECT_FALSE(sampler[0].contains("sampling/logp_difference/mean"));
  EXPECT_GT(model[0]["timing/old_logp"], 0);
  EXPECT_EQ(sampler[0]["timing/old_logp"], 0);
}

}  // namespace
}  // namespace grpo::train
