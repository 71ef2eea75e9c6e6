// What a user gets to read for each kind of mistake in a file.
#include <algorithm>
#include <cstdint>

#include "loading.hpp"

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(Mistakes, UnknownKeysNameTheNearest) {
  EXPECT_EQ(error_of("optimizer:\n  learning_rte: 1\n"),
            "run.yaml:2: unknown key optimizer.learning_rte. Did you mean `learning_rate`?");
  EXPECT_EQ(error_of("algorithm:\n  num_generation: 1\n"),
            "run.yaml:2: unknown key algorithm.num_generation. Did you mean `num_generations`?");
  EXPECT_EQ(error_of("model:\n  group_size: 1\n"),
            "run.yaml:2: unknown key model.group_size. It belongs to `algorithm`: algorithm.group_size");
  EXPECT_THAT(error_of("model:\n  flash_attention: 1\n"),
              AllOf(HasSubstr("run.yaml:2: unknown key model.flash_attention. `model` has: plugin, path, "),
                    HasSubstr("An option of the plugin goes under `options:`")));
  EXPECT_THAT(error_of("rewards:\n  - plugin: math\n    wieght: 1\n"),
              HasSubstr("run.yaml:3: unknown key rewards.0.wieght. Did you mean `weight`?"));
}

TEST(Mistakes, UnknownSections) {
  EXPECT_THAT(error_of("optimiser:\n  lr: 1\n"),
              HasSubstr("run.yaml:1: unknown section `optimiser`. Did you mean `optimizer`?"));
  EXPECT_EQ(error_of("learning_rate: 1\n"),
            "run.yaml:1: unknown section `learning_rate`. It belongs to `optimizer`: optimizer.learning_rate");
  EXPECT_THAT(error_of("run.seed: 1\n"), HasSubstr("in a file write it as `run:` with `seed` indented under it"));
  EXPECT_THAT(error_of("nothing_like_it: {}\n"), HasSubstr("There are: run, data, model"));
}

TEST(Mistakes, WrongTypesSayWhatWasFound) {
  EXPECT_EQ(error_of("\nrun:\n  seed: fast\n"), "run.yaml:3: run.seed expects an integer, found the text `fast`");
  EXPECT_EQ(error_of("run: {seed: 1.5}"), "run.yaml:1: run.seed expects an integer, found `1.5` (a number)");
  EXPECT_EQ(error_of("run: {seed: \"1\"}"),
            "run.yaml:1: run.seed expects an integer, found the text `1`: take off the quotes");
  EXPECT_EQ(error_of("run: {max_steps: 1_000}"),
            "run.yaml:1: run.max_steps expects an integer, found the text `1_000`: write 1000");
  EXPECT_EQ(error_of("run: {seed: 99999999999999999999}"),
            "run.yaml:1: run.seed expects an integer, found `99999999999999999999` (a number)");
  EXPECT_EQ(error_of("data: {shuffle: yes}"), "run.yaml:1: data.shuffle expects true or false, found the text `yes`");
  EXPECT_EQ(error_of("data: {shuffle: 1}"), "run.yaml:1: data.shuffle expects true or false, found `1` (an integer)");
  EXPECT_THAT(error_of("data: {path: [a, b]}"), HasSubstr("data.path expects a path, found a list"));
  EXPECT_THAT(error_of("data: {path: false}"), HasSubstr("data.path expects a path, found `false`"));
  EXPECT_THAT(error_of("sampler: {stop: {a: 1}}"), HasSubstr("sampler.stop expects a list of texts, found a mapping"));
  EXPECT_THAT(error_of("sampler: {stop_token_ids: [1, x]}"), HasSubstr("sampler.stop_token_ids[1] expects an integer"));
  EXPECT_THAT(error_of("optimizer: {learning_rate: .nan}"), HasSubstr("expects a number, found the text `.nan`"));
  EXPECT_THAT(error_of("model: {options: 3}"), HasSubstr("model.options expects a mapping of options"));
  EXPECT_THAT(error_of("model: here"), HasSubstr("run.yaml:1: model expects a mapping of keys, found the text `here`"));
  EXPECT_THAT(error_of("rewards: {plugin: math}"), HasSubstr("rewards expects a list, found a mapping"));
  EXPECT_THAT(error_of("- 1"), HasSubstr("expects `section:` mappings, found a list"));
}

TEST(Mistakes, RangesAndChoices) {
  EXPECT_EQ(error_of("sampler: {top_p: 0}"), "run.yaml:1: sampler.top_p must be above 0 and at most 1, found 0");
  EXPECT_EQ(error_of("sampler: {top_p: 1.01}"), "run.yaml:1: sampler.top_p must be above 0 and at most 1, found 1.01");
  EXPECT_EQ(error_of("sampler: {min_p: -1}"), "run.yaml:1: sampler.min_p must be between 0 and 1, found -1");
  EXPECT_EQ(error_of("run: {epochs: 0}"), "run.yaml:1: run.epochs must be above 0, found 0");
  EXPECT_EQ(error_of("algorithm: {group_size: 0}"), "run.yaml:1: algorithm.group_size must be at least 1, found 0");
  EXPECT_EQ(error_of("sampler: {stop_token_ids: [1, -1]}"),
            "run.yaml:1: sampler.stop_token_ids[1] must be at least 0, found -1");
  EXPECT_THAT(error_of("run: {resume: atuo}"),
              HasSubstr("run.resume must be one of `never`, `auto`, `must`, found `atuo`. Did you mean `auto`?"));
  EXPECT_THAT(error_of("run: {resume: true}"),
              HasSubstr("run.resume expects one of `never`, `auto`, `must`, found `true`"));
  EXPECT_THAT(error_of("model: {plugin: ''}"), HasSubstr("model.plugin must be not empty"));
}

TEST(Mistakes, GivenTwice) {
  EXPECT_EQ(error_of("run:\n  seed: 1\n  seed: 2\n"), "run.yaml:3: run.seed is given twice");
  EXPECT_EQ(error_of("optimizer:\n  lr: 1\n  learning_rate: 2\n"),
            "run.yaml:3: optimizer.learning_rate is given twice, before as `lr`");
  EXPECT_THAT(error_of("run: {seed: 1}\nrun: {seed: 2}\n"), HasSubstr("run.yaml:2: section `run` is given twice"));
  EXPECT_THAT(error_of("model:\n  options: {a: 1, a: 2}\n"), HasSubstr("model.options: line 2: `a` is given twice"));
}

TEST(Mistakes, ValuesThatDoNotGoTogether) {
  EXPECT_EQ(error_of("sampler:\n  min_new_tokens: 300\n"),
            "run.yaml:2: sampler.min_new_tokens is 300, above sampler.max_new_tokens, 256");
  EXPECT_THAT(error_of("rewards: [math, math]"), HasSubstr("the second reward called `math`: give it a `name`"));
  EXPECT_EQ(error_of("rewards: [{plugin: math, isolate: true, memory_gib: 1, children: 2, processes: 1}]"), "");
  EXPECT_THAT(
      error_of("rewards: [{plugin: math, memory_gib: 1}]"),
      HasSubstr("run.yaml:1: rewards.0.memory_gib is for a plugin in a process of its own: set `isolate: true`"));
  EXPECT_THAT(error_of("rewards:\n  - weight: 1\n"), HasSubstr("rewards.0.plugin (default) is missing"));
  EXPECT_THAT(error_of("evaluation: {reward: mth}\nrewards: [math]\n"), HasSubstr("no reward has this name"));
  EXPECT_THAT(error_of("algorithm: {delta: 1.1}"), HasSubstr("above 1 + algorithm.clip_high, 1.2"));
  EXPECT_THAT(error_of("evaluation: {samples: 4}"), HasSubstr("set evaluation.temperature above 0"));
  const std::pair<const char*, const char*> together[] = {
      {"algorithm: {gamma: 0.9}", "reinforce_pp"},
      {"algorithm: {advantage: passk, group_size: 1}", "algorithm.group_size must be 2"},
      {"algorithm: {advantage: gdpo, kl_in_reward: true, beta: 0.1}", "every reward by itself"},
      {"algorithm: {kl_in_reward: true}", "set algorithm.kl_coefficient"},
      {"algorithm: {kl_control: adaptive}", "starts from algorithm.kl_coefficient"},
      {"algorithm: {entropy_coefficient_min: 0.5, entropy_coefficient_max: 0.1}",
       "above algorithm.entropy_coefficient_max, 0.1"},
      {"algorithm: {rollout_correction_normalize: true}", "that algorithm.rollout_correction makes"},
      {"algorithm: {objective: vespo, rollout_correction: token_mask, rollout_correction_normalize: true}",
       "does not go with `objective: vespo`"},
      {"algorithm: {rollout_correction: token_mask, old_logprobs: sampler}", "leave one of them out"},
      {"algorithm: {rollout_rejection: token_k1}", "set algorithm.rollout_rejection_threshold"},
      {"algorithm: {rollout_rs_threshold: 2}", "modes that algorithm.rollout_rejection names"},
      {"algorithm: {rollout_rs: 'token_k1, seq_men_k2', rollout_rs_threshold: 2}",
       "some, separated by commas, of `token_k1`"},
      {"algorithm: {rollout_rs: 'token_k1, seq_men_k2', rollout_rs_threshold: 2}", "seq_mean_k2`?"},
      {"algorithm: {rollout_rejection: m2, rollout_rejection_threshold: 0.04, old_logprobs: sampler}",
       "leaves nothing to compare"},
      {"algorithm: {rollout_correction: {rollout_rs: token_k1, bypass_mode: true}}",
       "found a mapping: `rollout_rs` is algorithm.rollout_rejection (docs/coming-from has the others)"},
      {"algorithm: {rollout_correction_min: 4}", "above algorithm.rollout_correction_max, 3"},
      {"algorithm: {objective: vespo, rollout_correction: sequence_mask}", "token_truncate"},
      {"algorithm: {objective: vespo, rollout_is: sequence}", "token_truncate"},
      {"algorithm: {objective: gmpo, ratio: token}", "geometric mean"},
      {"algorithm: {objective: dppo_tv, ratio: sequence}", "a single token's probability"},
      {"algorithm: {clip_cov_low: 6}", "above algorithm.clip_cov_high, 5"},
      {"algorithm: {cispo_min_ratio: 6}", "above algorithm.cispo_max_ratio, 5"},
  };
  for (const auto& [text, told] : together) EXPECT_THAT(error_of(text), HasSubstr(told)) << text;
  EXPECT_EQ(error_of("algorithm: {rollout_rs: 'token_k1, seq_max_k2', rollout_rs_threshold: '0.5_2,0.1'}"), "");
  EXPECT_EQ(error_of("algorithm: {rollout_rs: token_k3, rollout_rs_threshold: 0.01}"), "");
  EXPECT_THAT(error_of("", {"algorithm.rollout_correction.rollout_rs=token_k1"}),
              HasSubstr("has no keys inside: `rollout_rs` is algorithm.rollout_rejection"));
  EXPECT_EQ(error_of("algorithm: {advantage: reinforce_plus_plus, gamma: 0.9, use_kl_in_reward: true, beta: 0.1}"), "");
  EXPECT_THAT(error_of("algorithm: {minibatches: 33}"), HasSubstr("above the completions of a step, 32"));
  EXPECT_THAT(error_of("run: {name: a/b}"), HasSubstr("may not contain `/`"));
  EXPECT_EQ(error_of("algorithm: {delta: 1.21, minibatches: 32}\nevaluation: {samples: 4, temperature: 0.6}\n"), "");
}

TEST(Mistakes, AllAreShownAtOnce) {
  const std::string error = error_of("run:\n  sed: 1\n  epochs: x\n", {"model.dtype=fp8"});
  EXPECT_THAT(error, AllOf(HasSubstr("run.yaml:2: "), HasSubstr("\nrun.yaml:3: "),
                           HasSubstr("\ncommand line: model.dtype=fp8: ")));
}

TEST(Mistakes, NotYamlNamesLineAndColumn) {
  EXPECT_THAT(error_of("run:\n  seed: [1\nmodel: {}\n"), testing::ContainsRegex("^run.yaml:[23]:[0-9]+: not YAML: "));
  EXPECT_THAT(error_of("run:\n\tseed: 1\n"), HasSubstr("not YAML"));
}

TEST(Mistakes, FilesThatCannotBeRead) {
  EXPECT_THROW(grpo::config::load(grpo::config::Path("/nowhere/run.yaml")), grpo::Error);
  EXPECT_THROW(grpo::config::load(grpo::config::Path(testing::TempDir())), grpo::Error);
}

TEST(Mistakes, FilesThatAreNoText) {
  EXPECT_EQ(error_of(std::string("run:\n  name: a\0b\n", 17)),
            "run.yaml:2: a byte that is 0, which is no text; save the file as UTF-8");
  EXPECT_EQ(error_of("run: {name: \xff}\n"), "run.yaml:1: a byte that is not UTF-8; save the file as UTF-8");
  EXPECT_EQ(error_of(std::string("\xff\xfer\0:\0", 6)), error_of("r:")) << "UTF-16 is read";
}

TEST(Mistakes, ASecondDocumentIsNotPassedOver) {
  EXPECT_THAT(error_of("run: {seed: 3}\n---\nrun: {seed: 4}\n"), HasSubstr("run.yaml:3:1: a second document"));
  EXPECT_EQ(load_text("---\nrun: {seed: 3}\n...\n---\n").run.seed, 3);
}

// A few lines that would be 10^8 values, or endless.
TEST(Mistakes, AliasesThatMultiply) {
  std::string bomb = "rewards:\n  - plugin: length\n    options:\n      a0: &a0 [1]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "      a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 1; k < 10; ++k) bomb += ", " + before;
    bomb += "]\n";
  }
  EXPECT_THAT(error_of(bomb), AllOf(HasSubstr("run.yaml:4: rewards.0.options"), HasSubstr("more than 100000 values")));
  EXPECT_THAT(error_of("model:\n  options: &a {x: *a, y: *a}\n"), HasSubstr("nested deeper than 64 levels"));
  EXPECT_THAT(error_of("model: {options: {a: " + std::string(100000, '[') + std::string(100000, ']') + "}}\n"),
              HasSubstr("nested too deeply"));
}

// Numbers that would overflow where they are multiplied, or where a plugin takes 32 bits.
TEST(Mistakes, NumbersBeyondReason) {
  EXPECT_EQ(error_of("sampler: {top_k: 9223372036854775807}"),
            "run.yaml:1: sampler.top_k must be at most 2147483647, found 9223372036854775807");
  EXPECT_EQ(load_text("run: {seed: 9223372036854775807}").run.seed, INT64_MAX);
  EXPECT_THAT(error_of("algorithm: {group_size: 1000000, prompts_per_step: 1000000}"),
              HasSubstr("times algorithm.group_size is 1000000000000 completions a step, above 10000000"));
  EXPECT_THAT(error_of("run: {max_steps: 2000000000}\nalgorithm: {iterations: 2000000000}"),
              HasSubstr("algorithm.iterations times"));
  EXPECT_THAT(error_of("optimizer: {learning_rate: 1e300}"), HasSubstr("beyond the range of 32-bit numbers: 1e300"));
  EXPECT_THAT(error_of("sampler: {temperature: 1e-30}"), HasSubstr("take 0 (greedy), or at least"));
  EXPECT_THAT(error_of("run: {threads: 1000000}"), HasSubstr("run.threads must be between 0 and 4096"));
}

TEST(Mistakes, ThousandsAreNotAllTold) {
  std::string many = "run:\n";
  for (int i = 0; i < 1000; ++i) many += "  k" + std::to_string(i) + ": 1\n";
  const std::string told = error_of(many);
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 20);
  EXPECT_THAT(told, HasSubstr("\nand 980 mistakes more"));
}
