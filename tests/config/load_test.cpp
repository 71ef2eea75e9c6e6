// Values from the defaults and from a file, and where they came from.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "loading.hpp"

using namespace grpo::config;
using testing::ElementsAre;

TEST(Load, NothingGivenIsTheDefaults) {
  const Config config = load(std::nullopt);
  EXPECT_EQ(config.run.name, "run");
  EXPECT_EQ(config.run.output_dir, "runs/run");
  EXPECT_EQ(config.run.seed, 42);
  EXPECT_EQ(config.algorithm.objective, "dapo");
  EXPECT_DOUBLE_EQ(config.optimizer.learning_rate, 1e-6);
  EXPECT_TRUE(config.sampler.stop.empty());
  EXPECT_TRUE(config.model.options.empty());
  EXPECT_TRUE(config.rewards.empty());
  EXPECT_EQ(config.origin("run.seed").text(), "default");
  EXPECT_EQ(config.origin("run.name").text(), "derived");
}

TEST(Load, EveryTypeOfValue) {
  const Config config = load_text(R"(
run: {name: test, max_steps: 100, epochs: 1.5, plugins: [a, /b]}
data:
  path: train.jsonl
  shuffle: false
  system_prompt: |
    Be brief.
    Be right.
sampler:
  temperature: 1
  stop: ["</answer>", "\n\n"]
  stop_token_ids: [2, 0x10]
  top_k:
optimizer:
  learning_rate: 1e-5
  options: {beta1: 0.9, fused: true, groups: [{name: "1"}, 2]}
)");
  EXPECT_EQ(config.run.name, "test");
  EXPECT_EQ(config.run.max_steps, 100);
  EXPECT_DOUBLE_EQ(config.run.epochs, 1.5);
  EXPECT_THAT(config.run.plugins, ElementsAre(Path("/configs/a"), Path("/b")));
  EXPECT_FALSE(config.data.shuffle);
  EXPECT_EQ(config.data.system_prompt, "Be brief.\nBe right.\n");
  EXPECT_DOUBLE_EQ(config.sampler.temperature, 1);
  EXPECT_THAT(config.sampler.stop, ElementsAre("</answer>", "\n\n"));
  EXPECT_THAT(config.sampler.stop_token_ids, ElementsAre(2, 16));
  EXPECT_EQ(config.sampler.top_k, 0);  // null leaves the default
  EXPECT_DOUBLE_EQ(config.optimizer.learning_rate, 1e-5);
  EXPECT_EQ(config.optimizer.options.json, R"({"beta1":0.9,"fused":true,"groups":[{"name":"1"},2]})");
  EXPECT_EQ(config.optimizer.options.base, "/configs");
  EXPECT_EQ(config.optimizer.options.origins.at("groups.0.name").line, 16);
}

TEST(Load, OriginsNameFileAndLine) {
  const Config config = load_text("run:\n  seed: 7\nrewards:\n  - plugin: math\n    weight: 2\n  - format\n");
  EXPECT_EQ(config.where("run.seed"), "run.yaml:2: run.seed");
  EXPECT_EQ(config.where("run.epochs"), "run.epochs (default)");
  EXPECT_EQ(config.where("rewards.0.weight"), "run.yaml:5: rewards.0.weight");
  EXPECT_EQ(config.where("rewards.1.plugin"), "run.yaml:6: rewards.1.plugin");
  EXPECT_EQ(config.rewards[1].plugin, "format");
  EXPECT_EQ(config.rewards[1].name, "format");
}

TEST(Load, PathsAreRelativeToTheirFile) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "config_load_test";
  std::filesystem::create_directories(folder);
  const auto file = folder / "small.yaml";
  std::ofstream(file) << "data: {path: ../data/a.jsonl, prompt_template: 'file:prompt.jinja'}\nmodel: {path: ~/m}\n";
  const Config config = load(file, {"evaluation.path=b.jsonl"});
  EXPECT_EQ(config.data.path, (folder.parent_path() / "data/a.jsonl").lexically_normal());
  EXPECT_EQ(config.data.prompt_template, "file:" + (folder / "prompt.jinja").string());
  EXPECT_EQ(config.evaluation.path, "b.jsonl");  // of the command line: relative to where the user is
  EXPECT_EQ(config.run.name, "small");
  EXPECT_EQ(config.run.output_dir, "runs/small");
  const char* home = std::getenv("HOME");
  EXPECT_EQ(config.model.path, home ? Path(home) / "m" : folder / "~/m");
  std::filesystem::remove_all(folder);
}

TEST(Load, KnowsOtherSpellings) {
  const Config config =
      load_text("algorithm: {num_generations: 4, beta: 0.04, epsilon_high: 0.28}\noptimizer: {lr: 1e-4}\n");
  EXPECT_EQ(config.algorithm.group_size, 4);
  EXPECT_DOUBLE_EQ(config.algorithm.kl_coefficient, 0.04);
  EXPECT_DOUBLE_EQ(config.algorithm.clip_high, 0.28);
  EXPECT_DOUBLE_EQ(config.optimizer.learning_rate, 1e-4);
  EXPECT_EQ(config.origin("algorithm.group_size").line, 1);
  const auto easyr1 = load_text("algorithm: {rollout_batch_size: 8, clip_ratio_dual: 3, tau_negative: 1.5}").algorithm;
  EXPECT_EQ(easyr1.prompts_per_step, 8);
  EXPECT_EQ(easyr1.delta, 3);
  EXPECT_EQ(easyr1.sapo_temperature_negative, 1.5);
  const auto mindspeed = load_text("algorithm: {n_samples_per_prompt: 3, init_kl_coef: 0.1, kl_ctrl_type: adaptive}");
  EXPECT_EQ(mindspeed.algorithm.group_size, 3);
  EXPECT_EQ(mindspeed.algorithm.kl_coefficient, 0.1);
  EXPECT_EQ(mindspeed.algorithm.kl_control, "adaptive");
  const auto areal = load_text("algorithm: {mask_too_long: true, sapo_tau_pos: 2, overlong_tokens: 9}").algorithm;
  EXPECT_TRUE(areal.mask_truncated_completions);
  EXPECT_EQ(areal.sapo_temperature_positive, 2);
  EXPECT_EQ(areal.overlong_buffer, 9);
}

TEST(Load, ClipsAreThoseOfTheObjectivesPaperUnlessGiven) {
  const auto clips = [](const std::string& text) {
    const auto a = load_text("algorithm: {" + text + "}").algorithm;
    return std::pair(a.clip_low, a.clip_high);
  };
  EXPECT_EQ(clips("objective: dapo"), std::pair(0.2, 0.2));
  EXPECT_EQ(clips("objective: gspo"), std::pair(3e-4, 4e-4));
  EXPECT_EQ(clips("objective: luspo"), std::pair(2e-3, 2.5e-3));
  EXPECT_EQ(clips("objective: geo_mean"), std::pair(0.4, 0.4));
  EXPECT_EQ(clips("objective: gspo, clip_high: 0.1"), std::pair(3e-4, 0.1));
  EXPECT_EQ(clips("objective: gspo, epsilon: 0.2"), std::pair(0.2, 0.2));
  EXPECT_EQ(clips("clip_ratio: 0.1"), std::pair(0.1, 0.1));
  const Config gspo = load_text("algorithm: {objective: gspo, beta: 0.1, kl_in_reward: true}");
  EXPECT_EQ(gspo.algorithm.kl_estimator, "k1");
  const Config again = load_text(effective_yaml(gspo));
  EXPECT_EQ(again.algorithm.clip_low, 3e-4);
  EXPECT_EQ(again.algorithm.clip_high, 4e-4);
  EXPECT_EQ(load_text("algorithm: {beta: 0.1, kl_in_reward: true, kl_penalty: k3}").algorithm.kl_estimator, "k3");
}

TEST(Load, EffectiveYamlReadsBackToTheSame) {
  const std::string text = R"(
run: {name: "no", seed: 3}
data: {path: t.jsonl, system_prompt: "a: b # c\n\"d\" ü", chat_template_kwargs: {enable_thinking: false}}
sampler: {stop: ["1", "true", "- x", ""], temperature: 0.30000000000000004}
rewards:
  - {plugin: math, weight: -1e-300, options: {key: [1, 2.5, null, {a: "1"}]}}
  - {plugin: math, name: again}
)";
  const Config config = load_text(text, {"optimizer.learning_rate=3e-7"});
  const std::string yaml = effective_yaml(config);
  const Config again = load_text(yaml);
  EXPECT_EQ(effective_yaml(again), yaml);
  EXPECT_THAT(yaml, testing::HasSubstr("name: \"no\"\n"));  // PyYAML would read a bare no as false
  EXPECT_EQ(again.run.name, "no");
  EXPECT_EQ(again.data.system_prompt, config.data.system_prompt);
  EXPECT_EQ(again.sampler.stop, config.sampler.stop);
  EXPECT_EQ(again.sampler.temperature, config.sampler.temperature);
  EXPECT_EQ(again.rewards[0].weight, -1e-300);
  EXPECT_EQ(again.rewards[0].options.json, config.rewards[0].options.json);
  EXPECT_EQ(again.rewards[1].name, "again");
  const std::string annotated = effective_yaml(config, true);
  EXPECT_THAT(annotated, testing::ContainsRegex("seed: 3 +# run.yaml:2\n"));
  EXPECT_THAT(annotated, testing::ContainsRegex("learning_rate: 3.0e-07 +# command line\n"));
  EXPECT_THAT(annotated, testing::ContainsRegex("epochs: 1 +# default\n"));
  EXPECT_EQ(effective_yaml(load_text(annotated)), yaml);
}

// A list inside a section: evaluation.datasets.
TEST(NestedList, ReadsPrintsAndTakesOverrides) {
  const std::string text =
      "evaluation:\n  temperature: 0.6\n  datasets:\n    - a/gsm8k.jsonl\n"
      "    - {path: b.jsonl, name: math, prompt_key: problem, samples: 4}\n";
  const auto check = [](const Config& c) {
    ASSERT_EQ(c.evaluation_datasets.size(), 2u);
    EXPECT_EQ(c.evaluation_datasets[0].name, "gsm8k");
    EXPECT_EQ(c.evaluation_datasets[1].prompt_key, "problem");
    EXPECT_EQ(c.evaluation_datasets[1].samples, 4);
  };
  const Config read = load_text(text);
  check(read);
  EXPECT_EQ(read.where("evaluation.datasets.1.samples"), "run.yaml:5: evaluation.datasets.1.samples");
  check(load_text(effective_yaml(read, true)));
  EXPECT_EQ(load_text(text, {"evaluation.datasets.math.samples=2"}).evaluation_datasets[1].samples, 2);
  EXPECT_EQ(load_text(text, {"evaluation.datasets.2.path=c.jsonl"}).evaluation_datasets[2].name, "c");
  EXPECT_EQ(load_text(text, {"evaluation.datasets=[d.jsonl]"}).evaluation_datasets.size(), 1u);
}

TEST(NestedList, MistakesAreNamed) {
  EXPECT_THAT(error_of("evaluation: {datasets: [{path: a.jsonl, promt_key: q}]}"), testing::HasSubstr("prompt_key"));
  EXPECT_THAT(error_of("evaluation: {datasets: [{name: a}]}"), testing::HasSubstr("evaluation.datasets.0.path"));
  EXPECT_THAT(error_of("evaluation: {datasets: [a.jsonl, b/a.jsonl]}"), testing::HasSubstr("second set called `a`"));
  EXPECT_THAT(error_of("evaluation: {datasets: [{path: a, samples: 4}]}"), testing::HasSubstr("temperature above 0"));
  EXPECT_THAT(error_of("evaluation: {dataset: [a]}"), testing::HasSubstr("`datasets`"));
  EXPECT_THAT(error_of("evaluation.datasets: [a]"), testing::HasSubstr("unknown section"));
}
