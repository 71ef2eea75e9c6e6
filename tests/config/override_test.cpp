// section.key=value on the command line.
#include "loading.hpp"

using namespace grpo::config;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Override, WinsOverTheFile) {
  const Config config = load_text("run: {seed: 1}\n", {"run.seed=2", "run.seed=3"});
  EXPECT_EQ(config.run.seed, 3);
  EXPECT_EQ(config.where("run.seed"), "command line: run.seed");
}

TEST(Override, TextsAndPathsAreTakenAsTheyStand) {
  const Config config = load_text("", {"data.system_prompt=You are: [helpful] # really", "data.path=a b.jsonl",
                                       "run.name=\"quoted\"", "data.answer_key=", "data.prompt_key=true"});
  EXPECT_EQ(config.data.system_prompt, "You are: [helpful] # really");
  EXPECT_EQ(config.data.path, "a b.jsonl");
  EXPECT_EQ(config.run.name, "quoted");
  EXPECT_EQ(config.data.answer_key, "");
  EXPECT_EQ(config.data.prompt_key, "true");
}

TEST(Override, ListsAreYamlOrOneElement) {
  EXPECT_THAT(load_text("", {"sampler.stop=[a, 'b, c']"}).sampler.stop, ElementsAre("a", "b, c"));
  EXPECT_THAT(load_text("", {"sampler.stop=x: y"}).sampler.stop, ElementsAre("x: y"));
  EXPECT_THAT(load_text("", {"sampler.stop_token_ids=7"}).sampler.stop_token_ids, ElementsAre(7));
  EXPECT_THAT(load_text("sampler: {stop: [a]}", {"sampler.stop=[]"}).sampler.stop, ElementsAre());
}

TEST(Override, RewardsByNumberAndByName) {
  const std::string file =
      "rewards:\n  - {plugin: math, options: {a: 1, b: {c: 2}}}\n  - {plugin: format, name: form}\n";
  const Config config = load_text(file, {"rewards.0.weight=2", "rewards.form.weight=0.5", "rewards.2.plugin=length",
                                         "rewards.math.options.b.c=5", "rewards.math.options.d=[x]"});
  ASSERT_EQ(config.rewards.size(), 3u);
  EXPECT_DOUBLE_EQ(config.rewards[0].weight, 2);
  EXPECT_DOUBLE_EQ(config.rewards[1].weight, 0.5);
  EXPECT_EQ(config.rewards[2].plugin, "length");
  EXPECT_EQ(config.rewards[0].options.json, R"({"a":1,"b":{"c":5},"d":["x"]})");
  EXPECT_EQ(config.origin("rewards.0.options.a").text(), "run.yaml:2");
  EXPECT_EQ(config.origin("rewards.0.options.b.c").text(), "command line");
  EXPECT_EQ(load_text(file, {"rewards=[tags]"}).rewards.size(), 1u);
  EXPECT_EQ(load_text("", {"rewards=[math, {plugin: format, weight: 3}]"}).rewards[1].weight, 3);
}

TEST(Override, NullGoesBackToTheDefault) {
  const Config config = load_text("run: {max_steps: 5}\n", {"run.max_steps=null"});
  EXPECT_EQ(config.run.max_steps, -1);
  EXPECT_EQ(config.origin("run.max_steps").text(), "default");
}

// A line of another trainer's script: where its keys are here, and which one it is where only one can be meant.
TEST(Override, KeysOfOtherTrainers) {
  EXPECT_EQ(error_of("", {"actor_rollout_ref.actor.entropy_coeff=0"}),
            "command line: actor_rollout_ref.actor.entropy_coeff=0: unknown section `actor_rollout_ref`. It belongs to "
            "`algorithm`: algorithm.entropy_coefficient. Where the keys of others are here: docs/coming-from/verl.md; "
            "`grpo-host convert FILE` writes a whole file of theirs as one of ours");
  const std::string path = error_of("", {"actor_rollout_ref.model.path=x"});
  EXPECT_THAT(path, HasSubstr("docs/coming-from/verl.md"));
  EXPECT_EQ(path.find("data.path"), path.npos) << "the nearest `path` is not the one that is meant: " << path;
  EXPECT_THAT(error_of("worker: {rollout: {n: 5}}\n"), HasSubstr("docs/coming-from/easyr1.md"));
}

TEST(Override, Mistakes) {
  EXPECT_EQ(error_of("", {"run.seed"}), "command line: run.seed: expects section.key=value");
  EXPECT_THAT(error_of("", {"seed=1"}), HasSubstr("It belongs to `run`: run.seed"));
  EXPECT_THAT(error_of("", {"run.sed=1"}), HasSubstr("unknown key run.sed. Did you mean `seed`?"));
  EXPECT_THAT(error_of("", {"run=1"}), HasSubstr("expects a key after `run.`"));
  EXPECT_THAT(error_of("", {"run.seed="}), HasSubstr("has no value"));
  EXPECT_THAT(error_of("", {"run.seed.x=1"}), HasSubstr("run.seed has no keys inside"));
  EXPECT_THAT(error_of("", {"run.seed=[1"}), HasSubstr("command line: run.seed=[1: the value is not YAML"));
  EXPECT_THAT(error_of("", {"run.seed=abc"}), HasSubstr("run.seed expects an integer, found the text `abc`"));
  EXPECT_THAT(error_of("", {"rewards.1.plugin=math"}), HasSubstr("rewards has 0 elements: the next is rewards.0"));
  EXPECT_THAT(error_of("rewards: [math]", {"rewards.mth.weight=1"}),
              HasSubstr("no element `mth`. Did you mean `math`?"));
  EXPECT_THAT(error_of("", {"rewards.0.weight=1"}), HasSubstr("rewards.0.plugin"));
}
