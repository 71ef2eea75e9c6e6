#include "rules.hpp"

namespace grpo::config {

namespace {

// v0.2 and v1.0 have the same thoughts under other names.
struct ArealNames {
  std::string kl, scaling, bias, path_of_data, optimizer;
};

void areal(Draft& d, const ArealNames& n) {
  needs_directory(d, "actor.path");
  needs_file(d, n.path_of_data);
  const std::string name = d.text("experiment_name", "areal"), trial = d.text("trial_name");
  d.set("run.name", name, "experiment_name");
  if (!trial.empty()) d.set("run.output_dir", "runs/" + name + "/" + trial, "experiment_name, trial_name");
  d.told({"experiment_name", "trial_name", "*.experiment_name", "*.trial_name", "*.fileroot"});
  const double kl = d.number(n.kl, 0.1);
  d.set("algorithm.kl_coefficient", kl, d.given(n.kl) ? n.kl : n.kl + ", left out there");
  if (kl > 0) d.set("algorithm.kl_in_reward", true, n.kl);
  d.told({n.kl});
  const double scale = d.number(n.scaling, 1), bias = d.number(n.bias, 0);
  json options = json::object();
  if (scale != 1 || bias != 0)
    options = {{"correct", (1 + bias) * scale}, {"wrong", bias * scale}, {"missing", bias * scale}};
  math(d, "a function of the workflow there", options);
  d.told({n.scaling, n.bias});
  adam(d, n.optimizer + ".beta1", n.optimizer + ".beta2", n.optimizer + ".eps");
  d.told({n.optimizer + ".type", "tokenizer_path"});
  if (d.given("ref.path") && d.text("ref.path") != d.text("actor.path"))
    d.set("reference.path", d.text("ref.path"), "ref.path");
  d.told({"ref.*"});
  if (!d.flag("actor.init_from_scratch", false)) d.told({"actor.init_from_scratch"});
  for (const std::string logger : {"wandb", "swanlab", "tensorboard"})
    for (const auto& at : {"stats_logger." + logger, logger})
      if (d.text(at + ".mode") == "disabled") d.told({at + ".*"});
  gsm8k_columns(d, n.path_of_data);
  if (d.has("data.answer_key"))
    d.set("data.prompt_template", "{{ content }}\nPlease put your final answer within \\boxed{}.",
          "of areal/dataset/gsm8k.py");
  d.set("report.metric_names", json::array({"areal"}), "their names beside ours");
}

// By the ratio it is a correction here, by a divergence a rejection, and M2PO one more.
void rejection(Draft& d) {
  const std::string section = "actor.rejection_sampling", metric = d.text(section + ".metric", "ratio"),
                    level = d.text(section + ".level", "token");
  const json* upper = d.theirs.find(section + ".upper");
  if (const json* m2 = d.theirs.find("actor.m2_threshold"); m2 && !m2->is_null()) {
    d.set("algorithm.rollout_rejection", "m2", "actor.m2_threshold");
    d.told({"actor.m2_threshold"});
    d.set("algorithm.rollout_rejection_threshold", d.text("actor.m2_threshold"), "actor.m2_threshold");
  }
  if (!upper) return;
  if (metric == "ratio") {
    const bool clamp = d.text(section + ".action", "mask") == "clamp";
    d.set("algorithm.rollout_correction", level + (clamp ? "_truncate" : "_mask"), section);
    d.set("algorithm.rollout_correction_max", *upper, section + ".upper");
    d.told({section + ".metric"});
  } else if (metric == "kl_k2" || metric == "kl_k3") {
    const std::string form = metric.substr(3), of = d.text(section + ".agg", "mean");
    d.set("algorithm.rollout_rejection", level == "token" ? "token_" + form : "seq_" + of + "_" + form, section);
    d.set("algorithm.rollout_rejection_threshold", d.text(section + ".upper"), section + ".upper");
    d.set("algorithm.rollout_correction", "token_truncate", section);
    d.set("algorithm.rollout_correction_max", 0, section);
    d.told({section + ".metric", section + ".agg"});
  }  // others are left to look at: k1 has bounds of the ratio here
}

}  // namespace

void areal_1(Draft& d) {
  areal(d, {"actor.kl_ctl", "actor.reward_scaling", "actor.reward_bias", "train_dataset.path", "actor.optimizer"});
  const std::string reward = d.text("actor.reward_norm.std_level"), adv = d.text("actor.adv_norm.std_level", "batch");
  const std::string level = reward.empty() ? adv : reward;
  d.set("algorithm.advantage", level == "group" || level == "batch" ? level : "none",
        reward.empty() ? "actor.adv_norm" : "actor.reward_norm");
  if (!reward.empty() && d.given("actor.adv_norm.std_level"))
    d.look(
        "actor.reward_norm and actor.adv_norm: there the rewards are normalised, and the advantages once more; here "
        "once, as reward_norm says");
  d.told({"actor.reward_norm.*", "actor.adv_norm.mean_level", "actor.adv_norm.std_level", "actor.adv_norm.group_size"});
  if (d.flag("actor.use_decoupled_loss", false) || d.flag("actor.recompute_logprob", false)) {
    if (d.flag("actor.use_decoupled_loss", false)) rejection(d);
  } else {
    d.set("algorithm.old_logprobs", "sampler", "neither recompute_logprob nor use_decoupled_loss");
  }
  for (const std::string option : {"actor.behav_imp_weight_cap", "actor.behave_imp_weight_cap"})
    if (const json* cap = d.theirs.find(option); cap && d.flag("actor.use_decoupled_loss", false)) {
      d.set("algorithm.rollout_correction", "token_mask", option);
      d.set("algorithm.rollout_correction_max", *cap, option);
    }
  if (!d.has("algorithm.rollout_correction_max")) d.keep_default("algorithm.rollout_correction_max");
  d.told({"actor.use_decoupled_loss", "actor.recompute_logprob", "actor.behav*_imp_weight_cap",
          "actor.rejection_sampling.level", "actor.rejection_sampling.action", "actor.rejection_sampling.upper"});
  for (const auto& [theirs, ours] : {std::pair{"eval_gconfig.n_samples", "evaluation.samples"},
                                     {"eval_gconfig.temperature", "evaluation.temperature"},
                                     {"eval_gconfig.max_new_tokens", "evaluation.max_new_tokens"}})
    if (d.given(theirs)) d.set(ours, *d.theirs.find(theirs), theirs);
  d.told({"eval_gconfig.*", "actor.max_new_tokens", "actor.temperature"});
  if (d.given("valid_dataset.path")) d.set("evaluation.path", d.text("valid_dataset.path"), "valid_dataset.path");
  d.told({"valid_dataset.*", "train_dataset.type", "train_dataset.split"});
  const std::string recover = d.text("recover.mode", "disabled");
  d.set("run.resume", recover == "disabled" || recover == "off" ? "never" : "auto", "recover.mode");
  d.told({"recover.mode"});
  lora(d, d.flag("actor.use_lora", false) ? "actor.lora_rank" : "", "actor.lora_alpha", "actor.target_modules");
  d.told({"actor.use_lora", "actor.lora_*", "actor.target_modules"});
  if (!d.flag("gconfig.greedy", false)) d.told({"gconfig.greedy"});
}

void areal_02(Draft& d) {
  areal(d, {"ppo.kl_ctl", "ppo.reward_output_scaling", "ppo.reward_output_bias", "dataset.path", "actor.optimizer"});
  if (d.flag("actor.bf16", false)) d.set("model.dtype", "bfloat16", "actor.bf16");
  const std::string recover = d.text("recover_mode", "disabled");
  d.set("run.resume", recover == "disabled" ? "never" : "auto", "recover_mode");
  d.set("algorithm.advantage",
        d.flag("group_adv_norm", false) || d.flag("ppo.group_adv_norm", false) ? "group" : "batch",
        "group_adv_norm, ppo.adv_norm");
  d.told({"actor.bf16", "recover_mode", "ppo.adv_norm", "*group_adv_norm", "ppo.disable_value"});
  if (d.given("ppo.recompute_logprob") && !d.flag("ppo.recompute_logprob", false))
    d.set("algorithm.old_logprobs", "sampler", "ppo.recompute_logprob");
  d.told({"ppo.recompute_logprob", "actor.type.*"});
}

}  // namespace grpo::config
