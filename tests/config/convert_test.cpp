// convert: files as the users of other trainers have them, shortened, and every option that those trainers know.
#include <grpo/sdk/config/convert.hpp>

#include "coming_from.hpp"

namespace grpo_test {
namespace {

using grpo::config::Config;
using grpo::config::Conversion;
using testing::HasSubstr;
using testing::Not;

class Convert : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path file(const std::string& name, const std::string& text) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }
  fs::path folder_ = fs::path(testing::TempDir()) / ("convert-" + std::to_string(getpid()));
};

Conversion converted(const fs::path& file, const std::string& system, const std::vector<std::string>& overrides = {}) {
  auto c = grpo::config::convert(file, overrides);
  EXPECT_EQ(c.system, system);
  return c;
}

TEST_F(Convert, ArealWithReferences) {
  const auto c = converted(file("gsm8k.yaml", R"(
experiment_name: gsm8k-grpo
trial_name: trial0
seed: 1
total_train_epochs: 10
tokenizer_path: ${actor.path}
cluster: {n_nodes: 1, fileroot: /tmp/areal}
rollout: {backend: "sglang:d4p1t1", max_head_offpolicyness: 2}
gconfig: {n_samples: 4, max_new_tokens: 1024, greedy: false}
actor:
  path: Qwen/Qwen2.5-1.5B-Instruct
  dtype: bfloat16
  mb_spec: {max_tokens_per_mb: 10240}
  optimizer: {type: adam, lr: 1.70e-5, beta1: 0.9, eps: 1e-8, gradient_clipping: 1.0}
  eps_clip: 0.4
  reward_scaling: 10.0
  reward_bias: -0.5
  kl_ctl: 0.0
  ppo_n_minibatches: 1
  recompute_logprob: true
  use_decoupled_loss: true
  rejection_sampling: {metric: ratio, upper: 5.0}
  use_lora: true
  lora_rank: 16
  target_modules: [all-linear]
  reward_norm: {mean_level: group, std_level: group, group_size: "${gconfig.n_samples}"}
ref: {path: "${actor.path}", dtype: "${actor.dtype}"}
train_dataset: {batch_size: 256, path: openai/gsm8k, max_length: 1024, num_workers: 4}
recover: {mode: disabled, freq_secs: 3600, freq_steps: null}
)"),
                           "AReaL 1.0", {"train_dataset.batch_size=2"});
  const Config run = load_text(c.yaml);
  EXPECT_EQ(run.run.name, "gsm8k-grpo");
  EXPECT_EQ(run.run.epochs, 10);
  EXPECT_EQ(run.algorithm.prompts_per_step, 2);  // the command line wins
  EXPECT_EQ(run.algorithm.group_size, 4);
  EXPECT_EQ(run.algorithm.minibatches, 1);
  EXPECT_EQ(run.algorithm.clip_low, 0.4);
  EXPECT_EQ(run.algorithm.clip_high, 0.4);
  EXPECT_EQ(run.algorithm.kl_coefficient, 0);
  EXPECT_EQ(run.algorithm.advantage, "group");
  EXPECT_EQ(run.algorithm.rollout_correction, "token_mask");
  EXPECT_EQ(run.algorithm.rollout_correction_max, 5);
  EXPECT_EQ(run.optimizer.learning_rate, 1.7e-5);
  EXPECT_EQ(run.optimizer.warmup_ratio, 0.001);  // left out there
  EXPECT_EQ(json::parse(run.optimizer.options.json), json::parse(R"({"beta1": 0.9, "epsilon": 1e-8})"));
  EXPECT_EQ(run.checkpoint.recover_every_seconds, 3600);
  EXPECT_EQ(run.data.prompt_key, "question");
  ASSERT_EQ(run.rewards.size(), 1u);
  EXPECT_EQ(json::parse(run.rewards[0].options.json), json::parse(R"({"correct": 5, "wrong": -5, "missing": -5})"));
  EXPECT_EQ(json::parse(run.model.lora.json), json::parse(R"({"rank": 16, "targets": "all-linear"})"));
  EXPECT_TRUE(run.reference.path.empty());
  EXPECT_THAT(c.yaml, HasSubstr("# Not here, because"));
  EXPECT_THAT(c.yaml, HasSubstr("one process for now: cluster.n_nodes"));
  EXPECT_THAT(c.yaml, HasSubstr("  learning_rate: 1.7e-05"));
  EXPECT_THAT(c.yaml, HasSubstr("# actor.optimizer.lr\n"));
  EXPECT_THAT(c.yaml, Not(HasSubstr("nothing is known of it")));
}

TEST_F(Convert, ArealRejection) {
  const std::string begin = R"(
gconfig: {n_samples: 4, max_new_tokens: 64}
train_dataset: {batch_size: 2, path: openai/gsm8k}
actor:
  path: m
  ppo_n_minibatches: 1
  use_decoupled_loss: true
)";
  const auto run_of = [&](const std::string& rest) {
    return load_text(converted(file("areal.yaml", begin + rest), "AReaL 1.0").yaml).algorithm;
  };
  const auto sequence = run_of("  rejection_sampling: {metric: kl_k2, level: sequence, agg: mean, upper: 0.02}\n");
  EXPECT_EQ(sequence.rollout_rejection, "seq_mean_k2");
  EXPECT_EQ(sequence.rollout_rejection_threshold, "0.02");
  EXPECT_EQ(sequence.rollout_correction, "token_truncate");
  EXPECT_EQ(sequence.rollout_correction_max, 0);
  EXPECT_EQ(run_of("  rejection_sampling: {metric: kl_k3, upper: 1}\n").rollout_rejection, "token_k3");
  const auto m2 = run_of("  m2_threshold: 0.04\n");
  EXPECT_EQ(m2.rollout_rejection, "m2");
  EXPECT_EQ(m2.rollout_rejection_threshold, "0.04");
}

TEST_F(Convert, VerlScriptWithVariables) {
  const auto c = converted(file("run.sh", R"(set -x
data=$HOME/data/gsm8k          # a comment
model=${MODEL:-"Qwen/Qwen2.5-3B-Instruct"}
KL=(
    actor_rollout_ref.actor.use_kl_loss=True
    actor_rollout_ref.actor.kl_loss_coef=0.002  # in the loss
)
python3 -m verl.trainer.main_ppo \
    algorithm.adv_estimator=grpo \
    data.train_files=$data/train.parquet \
    data.train_batch_size=1024 data.max_response_length=1024 \
    data.truncation='error' \
    data.filter_overlong_prompts=True \
    actor_rollout_ref.model.path=${model} \
    actor_rollout_ref.actor.ppo_mini_batch_size=256 \
    actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=40 \
    "${KL[@]}" \
    +trainer.not_an_option=3 \
    actor_rollout_ref.actor.megatron.tensor_model_parallel_size=4 \
    +data.apply_chat_template_kwargs.enable_thinking=False \
    trainer.logger='["console","tensorboard"]' \
    trainer.save_freq=-1 \
    trainer.total_epochs=15 $@
)"),
                           "verl");
  const Config run = load_text(c.yaml);
  EXPECT_EQ(run.model.path, "/configs/Qwen/Qwen2.5-3B-Instruct");
  EXPECT_THAT(c.yaml, HasSubstr("~/data/gsm8k/train.parquet"));
  EXPECT_EQ(run.algorithm.prompts_per_step, 1024);
  EXPECT_EQ(run.algorithm.minibatches, 4);
  EXPECT_EQ(run.algorithm.kl_coefficient, 0.002);
  EXPECT_FALSE(run.algorithm.kl_in_reward);
  EXPECT_EQ(run.algorithm.advantage_epsilon, 1e-6);
  EXPECT_EQ(run.algorithm.delta, 3);  // verl's default
  EXPECT_EQ(run.data.overlong_prompts, "drop");
  EXPECT_EQ(run.checkpoint.every_steps, 0);
  EXPECT_TRUE(run.report.tensorboard);
  EXPECT_EQ(run.run.resume, "auto");
  EXPECT_EQ(run.data.chat_template_kwargs.json, R"({"enable_thinking":false})");
  EXPECT_THAT(c.yaml, HasSubstr("one process for now: actor_rollout_ref.actor.megatron.tensor_model_parallel_size"));
  EXPECT_THAT(c.yaml, HasSubstr("trainer.not_an_option: nothing is known of it"));
}

TEST_F(Convert, EasyR1ScriptThatNamesItsConfiguration) {
  file("examples/config.yaml", R"(
data: {train_files: math12k.jsonl, prompt_key: problem, format_prompt: ./examples/math.jinja, rollout_batch_size: 512}
algorithm: {adv_estimator: grpo, use_kl_loss: true, kl_coef: 1.0e-2, online_filtering: true, filter_key: overall}
worker:
  actor: {global_batch_size: 128, micro_batch_size_per_device_for_update: 1, model: {lora: {rank: 0, alpha: 64}}}
  rollout: {n: 5, gpu_memory_utilization: 0.6, val_override_config: {temperature: 0.6, n: 1}}
  reward: {reward_function: ./examples/math.py:compute_score, reward_function_kwargs: {format_weight: 0.2}}
trainer: {max_try_make_batch: 20, experiment_name: easy, save_limit: -1}
)");
  const auto c = converted(file("examples/run.sh", R"(
MODEL_PATH=/models/Qwen3-4B
python3 -m verl.trainer.main config=examples/config.yaml worker.actor.model.model_path=${MODEL_PATH} trainer.experiment_name=mine
)"),
                           "EasyR1");
  const Config run = load_text(c.yaml);
  EXPECT_EQ(run.run.name, "mine");
  EXPECT_EQ(run.model.path, "/models/Qwen3-4B");
  EXPECT_EQ(run.data.prompt_template, "file:/configs/examples/math.jinja");
  EXPECT_EQ(run.algorithm.minibatches, 4);
  EXPECT_EQ(run.algorithm.kl_coefficient, 0.01);
  EXPECT_EQ(run.algorithm.dynamic_sampling, "mean");
  EXPECT_EQ(run.algorithm.max_resamples, 19);
  EXPECT_EQ(run.algorithm.clip_high, 0.3);  // EasyR1's default
  EXPECT_EQ(run.checkpoint.keep, 0);
  EXPECT_EQ(run.model.lora.json, "{}");
  EXPECT_EQ(json::parse(run.rewards.at(0).options.json),
            json::parse(R"({"function": "./examples/math.py:compute_score", "kwargs": {"format_weight": 0.2}})"));
}

TEST_F(Convert, TrlScript) {
  const auto c = converted(file("train_grpo.py", R"(
model_name = "Qwen/Qwen2.5-1.5B-Instruct"
training_args = GRPOConfig(
    output_dir="outputs/gsm8k",
    learning_rate=5e-6,
    adam_beta2 = 0.99,
    warmup_ratio = 0.1,   # of all steps, (so it is)
    lr_scheduler_type='cosine',
    bf16=True,
    per_device_train_batch_size=1,
    gradient_accumulation_steps=4,
    num_generations=4,
    max_completion_length=786,
    save_steps=100,
    max_grad_norm=0.1,
    use_vllm=False,
)
trainer = GRPOTrainer(model=model_name, reward_funcs=[format_reward, correctness_reward], args=training_args)
)"),
                           "TRL");
  const Config run = load_text(c.yaml);
  EXPECT_EQ(run.run.output_dir, "/configs/outputs/gsm8k");
  EXPECT_EQ(run.model.path, "/configs/Qwen/Qwen2.5-1.5B-Instruct");
  EXPECT_EQ(run.algorithm.prompts_per_step, 1);
  EXPECT_EQ(run.algorithm.minibatches, 1);
  EXPECT_EQ(run.algorithm.group_size, 4);
  EXPECT_EQ(run.optimizer.schedule, "cosine");
  EXPECT_EQ(run.optimizer.warmup_ratio, 0.1);
  EXPECT_EQ(run.optimizer.max_grad_norm, 0.1);
  EXPECT_EQ(run.model.dtype, "bfloat16");
  EXPECT_EQ(run.run.epochs, 3);  // TRL's default
  EXPECT_EQ(run.algorithm.rollout_correction, "none");
  ASSERT_EQ(run.rewards.size(), 2u);
  EXPECT_EQ(run.rewards[1].name, "correctness_reward");
}

TEST_F(Convert, TrlCommandLine) {
  const auto c = converted(file("run.sh", R"(accelerate launch --config_file zero3.yaml train.py \
    --model_name_or_path /models/q --num_generations 8 --per_device_train_batch_size 8 --use_peft \
    --gradient_accumulation_steps 2 --steps_per_generation 8 --lora_target_modules "q_proj", "v_proj" --lora_r 4 \
    --epsilon 3e-4 --importance_sampling_level sequence
)"),
                           "TRL");
  const Config run = load_text(c.yaml);
  EXPECT_EQ(run.algorithm.prompts_per_step, 8);
  EXPECT_EQ(run.algorithm.minibatches, 4);
  EXPECT_EQ(run.algorithm.ratio, "sequence");
  EXPECT_EQ(run.algorithm.clip_low, 3e-4);
  EXPECT_EQ(json::parse(run.model.lora.json), json::parse(R"({"rank": 4, "targets": ["q_proj", "v_proj"]})"));
}

TEST_F(Convert, MindSpeed) {
  const auto c = converted(file("grpo.yaml", R"(
defaults: [{model: [qwen25_7b]}]
megatron_training:
  bf16: true
  tokenizer_name_or_path: ./Qwen2.5-7B
  global_batch_size: 128
  use_flash_attn: true
  lora_r: 8
  lora_target_modules: [linear_qkv, linear_fc2]
  train_iters: 500
  save_interval: 100
  data_path: ./dataset/deepscaler/data
  no_shuffle: false
  seed: 1
actor_config: {expert_model_parallel_size: 2, lr: 1e-6, min_lr: 1e-7, lr_decay_style: cosine, adam_beta1: 0.9, load: ./ckpt, tensor_model_parallel_size: 2}
rl_config:
  adv_estimator: group_norm
  mini_batch_size: 32
  clip_ratio: 0.2
  n_samples_per_prompt: 8
  verifier_function: [math_17k_acc, format]
  verifier_weight: [1.0, 0.5]
  actor_resource: {num_npus: 16}
generate_config: {gpu_memory_utilization: 0.4, sampling_config: {max_tokens: 2048, top_k: -1, temperature: 1.0}}
)"),
                           "MindSpeed-RL");
  const Config run = load_text(c.yaml);
  EXPECT_EQ(run.model.path, "/configs/Qwen2.5-7B");
  EXPECT_EQ(run.model.dtype, "bfloat16");
  EXPECT_TRUE(run.data.shuffle);  // the other way round
  EXPECT_EQ(run.run.seed, 1);
  EXPECT_EQ(run.algorithm.minibatches, 4);  // mini_batch_size is in prompts
  EXPECT_EQ(run.algorithm.kl_coefficient, 0.01);
  EXPECT_NEAR(run.optimizer.minimum_learning_rate_ratio, 0.1, 1e-12);
  EXPECT_EQ(run.optimizer.schedule, "cosine");
  EXPECT_EQ(run.sampler.top_k, -1);
  EXPECT_EQ(run.checkpoint.every_steps, 100);
  ASSERT_EQ(run.rewards.size(), 2u);
  EXPECT_EQ(run.rewards[0].plugin, "math");
  EXPECT_EQ(run.rewards[1].plugin, "format");
  EXPECT_EQ(run.rewards[1].weight, 0.5);
  EXPECT_EQ(json::parse(run.model.lora.json),
            json::parse(R"({"rank": 8, "targets": ["q_proj", "k_proj", "v_proj", "down_proj"]})"));
  EXPECT_THAT(c.yaml, Not(HasSubstr("nothing is known of it")));
}

// Whatever a system knows, at its default: it is taken over, or told of with a reason, and what comes out loads.
TEST_F(Convert, EveryOptionIsToldOf) {
  for (const std::string system : {"trl", "easyr1", "verl", "areal", "areal_boba", "mindspeed"}) {
    const auto options = nlohmann::ordered_json::parse(read(fs::path(GRPO_TEST_DATA "/options") / (system + ".json")));
    nlohmann::ordered_json all = nlohmann::ordered_json::object();
    std::size_t given = 0;
    for (const auto& [name, value] : options.items()) {
      std::string plain = name;
      for (const std::string prefix : {"GRPOConfig.", "GRPOTrainer."})
        if (plain.starts_with(prefix)) plain = plain.substr(prefix.size());
      if (value.is_null() || plain.starts_with("SFT") || plain.find('*') != plain.npos || plain.find("--") == 0 ||
          plain.starts_with("eval_and_aggregate"))
        continue;
      all[plain] = value;
      ++given;
    }
    const auto c = grpo::config::convert(file(system + ".json", all.dump()));
    // AReaL's own defaults, 4 minibatches of one completion, contradict each other: that is told.
    if (error_of(c.yaml) != "") {
      EXPECT_THAT(c.yaml, HasSubstr("#   this file:")) << system;
    }
    EXPECT_NO_THROW(load_text(c.yaml, {"algorithm.group_size=8", "algorithm.prompts_per_step=8"})) << system;
    EXPECT_THAT(c.yaml, Not(HasSubstr("nothing is known of it"))) << system;
    EXPECT_GT(given, 50u) << system;
    EXPECT_GE(c.taken + c.dropped + c.open, given) << system;
  }
}

std::string error_of_convert(const fs::path& file, const std::vector<std::string>& overrides = {},
                             const std::string& system = "") {
  try {
    grpo::config::convert(file, overrides, system);
  } catch (const grpo::Error& error) {
    return error.what();
  }
  return "";
}

TEST_F(Convert, SaysWhatIsWrong) {
  EXPECT_THAT(error_of_convert(folder_ / "none.yaml"), HasSubstr("none.yaml: cannot open"));
  EXPECT_THAT(error_of_convert(file("a.yaml", "a: [1")), HasSubstr("a.yaml:1: not YAML"));
  EXPECT_THAT(error_of_convert(file("b.yaml", "- 1")), HasSubstr("expects options by name"));
  EXPECT_THAT(error_of_convert(file("c.yaml", "qqq: 1")), HasSubstr("no option in it is one of TRL"));
  EXPECT_THAT(error_of_convert(file("d.yaml", "seed: 1"), {"seed"}), HasSubstr("seed: expects an option of theirs"));
  EXPECT_THAT(error_of_convert(file("e.yaml", "seed: 1"), {}, "verll"), HasSubstr("`verll`. Did you mean `verl`"));
  EXPECT_THAT(error_of_convert(file("f.sh", "python -m x config=gone.yaml\n")), HasSubstr("configuration gone.yaml"));
}

}  // namespace
}  // namespace grpo_test
