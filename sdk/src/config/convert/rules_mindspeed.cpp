#include "rules.hpp"

namespace grpo::config {

namespace {

void verifiers(Draft& d) {
  const json* functions = d.theirs.find("rl_config.verifier_function");
  if (!functions || !functions->is_array()) return math(d, "no verifier_function is given");
  const json* weights = d.theirs.find("rl_config.verifier_weight");
  json rewards = json::array();
  for (std::size_t i = 0; i < functions->size(); ++i) {
    const std::string name = functions->at(i).is_string() ? functions->at(i).get<std::string>() : "";
    const bool accuracy = name.find("acc") != name.npos, form = name.find("format") != name.npos,
               tag = name.find("tag") != name.npos;
    json reward = {{"plugin", accuracy ? "math" : form ? "format" : tag ? "tags" : name}};
    if (weights && weights->is_array() && i < weights->size() && weights->at(i) != 1) reward["weight"] = weights->at(i);
    if (d.given("rl_config.verifier_timeout")) reward["timeout_seconds"] = *d.theirs.find("rl_config.verifier_timeout");
    if (!accuracy) d.look("rl_config.verifier_function: " + name + ": look at the reward that stands for it");
    rewards.push_back(std::move(reward));
  }
  d.set("rewards", rewards, "rl_config.verifier_function");
}

}  // namespace

void mindspeed(Draft& d) {
  const std::string m = "megatron_training.", a = "actor_config.", r = "rl_config.";
  if (d.given(m + "tokenizer_name_or_path"))
    d.set("model.path", d.text(m + "tokenizer_name_or_path"), m + "tokenizer_name_or_path");
  d.told({m + "tokenizer_name_or_path", a + "load", "ref_config.*", "reward_config.*", "critic_config.*"});
  if (d.given(a + "save")) d.set("run.output_dir", d.text(a + "save"), a + "save");
  d.told({a + "save"});
  d.set("data.path", d.text(m + "data_path"), m + "data_path");
  needs_file(d, m + "data_path");
  d.told({m + "data_path", m + "dataset_additional_keys", r + "num_cpus_for_local_task", a + "model", a + "finetune",
          a + "no_load_*"});
  minibatches(d, m + "global_batch_size", 1, r + "mini_batch_size", 1);
  if (d.flag(m + "bf16", false) || d.text("generate_config.dtype") == "bfloat16")
    d.set("model.dtype", "bfloat16", m + "bf16");
  d.told({m + "bf16", "generate_config.dtype", "*micro_batch_size"});
  if (d.flag(r + "use_dynamic_bsz", false) && d.given(r + "max_packing_token_size"))
    d.set("algorithm.max_tokens_per_microbatch", d.number(r + "max_packing_token_size", 0),
          r + "max_packing_token_size");
  d.told({r + "use_dynamic_bsz", r + "*max_packing_token_size"});
  if (const double rate = d.number(a + "lr", 0), least = d.number(a + "min_lr", 0); rate > 0 && least > 0)
    d.set("optimizer.minimum_learning_rate_ratio", least / rate, a + "min_lr / lr");
  d.told({a + "min_lr"});
  adam(d, a + "adam_beta1", a + "adam_beta2", "");
  for (const auto& at : {a, m}) lora(d, at + "lora_r", at + "lora_alpha", at + "lora_target_modules");
  if (d.text(r + "adv_estimator", "group_norm") == "group_norm") d.told({r + "adv_estimator"});
  if (!d.flag(r + "clip_higher_enable", false))
    d.told({r + "clip_ratio_low", r + "clip_ratio_high"});
  else
    d.told({r + "clip_ratio"});
  d.told({r + "clip_higher_enable"});
  d.set("algorithm.aggregation", d.flag(r + "token_level_loss", true) ? "token_mean" : "sequence_mean",
        r + "token_level_loss");
  d.told({r + "token_level_loss"});
  if (d.flag(r + "filter_groups_enable", false)) {
    d.set("algorithm.dynamic_sampling", "varied", r + "filter_groups_enable");
    d.set("algorithm.max_resamples", std::max(1.0, d.number(r + "filter_groups_max_batches", 1) - 1),
          r + "filter_groups_max_batches, less the first draw");
  } else {
    d.keep_default("algorithm.max_resamples");
  }
  d.told({r + "filter_groups_*"});
  if (d.flag(r + "overlong_buffer_enable", false)) {
    d.set("algorithm.overlong", "linear", r + "overlong_buffer_enable");
  } else {
    d.told({r + "overlong_buffer*", r + "rollout_max_tokens"});
    d.keep_default("algorithm.overlong_length");
  }
  d.told({r + "overlong_buffer_enable"});
  verifiers(d);
  d.told({r + "verifier_*", r + "rule_reward"});
  if (d.flag(r + "use_tensorboard", false)) d.set("report.tensorboard", true, r + "use_tensorboard");
  d.set("report.metric_names", json::array({"mindspeed"}), "their names beside ours");
  d.told({r + "use_tensorboard"});
  if (d.given(m + "seq_length")) d.told({m + "seq_length"});
  gsm8k_columns(d, m + "data_path");
}

}  // namespace grpo::config
