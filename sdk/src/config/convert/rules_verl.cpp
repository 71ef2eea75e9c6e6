#include "rules.hpp"

namespace grpo::config {

void verl(Draft& d) {
  const std::string actor = "actor_rollout_ref.actor.", rollout = "actor_rollout_ref.rollout.";
  needs_directory(d, "actor_rollout_ref.model.path");
  needs_file(d, "data.train_files");
  held_out(d, "data.val_files");
  minibatches(d, "data.train_batch_size", 1024, actor + "ppo_mini_batch_size", 256);
  const bool in_loss = d.flag(actor + "use_kl_loss", false), in_reward = d.flag("algorithm.use_kl_in_reward", false);
  if (in_loss) {
    d.set("algorithm.kl_coefficient", d.number(actor + "kl_loss_coef", 0.001), actor + "kl_loss_coef");
    d.set("algorithm.kl_estimator", d.text(actor + "kl_loss_type", "low_var_kl"), actor + "kl_loss_type");
    d.set("algorithm.kl_bias_correction", false, "verl's gradient");
  } else if (in_reward) {
    d.set("algorithm.kl_coefficient", d.number("algorithm.kl_ctrl.kl_coef", 0.001), "algorithm.kl_ctrl.kl_coef");
    d.set("algorithm.kl_estimator", d.text("algorithm.kl_penalty", "kl"), "algorithm.kl_penalty");
  } else {
    d.set("algorithm.kl_coefficient", 0, "neither use_kl_loss nor use_kl_in_reward");
  }
  d.told({actor + "use_kl_loss", actor + "kl_loss_coef", actor + "kl_loss_type", "algorithm.kl_penalty",
          "algorithm.kl_ctrl.kl_coef"});
  if (!in_reward) d.told({"algorithm.use_kl_in_reward", "algorithm.kl_ctrl.*"});
  if (d.text("algorithm.adv_estimator", "gae") == "gae")
    d.look("algorithm.adv_estimator: gae: it needs a critic, which is not here; `group` is taken");
  else if (!d.flag("algorithm.norm_adv_by_std_in_grpo", true))
    d.set("algorithm.advantage", "none", "algorithm.norm_adv_by_std_in_grpo");
  d.told({"algorithm.norm_adv_by_std_in_grpo"});
  if (d.text("algorithm.adv_estimator", "gae") == "gae") d.told({"algorithm.adv_estimator"});
  d.keep_default("algorithm.advantage");
  d.set("algorithm.advantage_epsilon", 1e-6, "verl's");
  if (d.flag(actor + "use_dynamic_bsz", false) && d.given(actor + "ppo_max_token_len_per_gpu"))
    d.set("algorithm.max_tokens_per_microbatch", d.number(actor + "ppo_max_token_len_per_gpu", 0),
          actor + "ppo_max_token_len_per_gpu");
  d.told({actor + "*micro_batch_size*", rollout + "log_prob_*", "actor_rollout_ref.ref.log_prob_*",
          actor + "use_dynamic_bsz", actor + "ppo_max_token_len_per_gpu", actor + "loss_scale_factor"});
  filter_overlong(d, d.flag("data.filter_overlong_prompts", false), d.text("data.truncation", "error"),
                  "data.filter_overlong_prompts, data.truncation");
  d.told({"data.filter_overlong_prompts", "data.truncation"});
  if (d.flag("algorithm.filter_groups.enable", false)) {
    d.set("algorithm.dynamic_sampling", "varied", "algorithm.filter_groups.enable");
    if (const double most = d.number("algorithm.filter_groups.max_num_gen_batches", 0); most > 0)
      d.set("algorithm.max_resamples", std::max(1.0, most - 1), "max_num_gen_batches, less the first draw");
  }
  d.told({"algorithm.filter_groups.*"});
  if (d.flag(rollout + "val_kwargs.do_sample", false)) {
    d.set("evaluation.temperature", d.number(rollout + "val_kwargs.temperature", 0), rollout + "val_kwargs");
    d.set("evaluation.samples", d.number(rollout + "val_kwargs.n", 1), rollout + "val_kwargs");
    d.set("evaluation.top_p", d.number(rollout + "val_kwargs.top_p", 1), rollout + "val_kwargs");
  }
  d.told({rollout + "val_kwargs.*"});
  lora(d, "actor_rollout_ref.model.lora_rank", "actor_rollout_ref.model.lora_alpha",
       "actor_rollout_ref.model.target_modules");
  json variables = json::object();
  const std::string kwargs = "data.apply_chat_template_kwargs.";
  for (const auto& option : d.theirs.all())
    if (option.name.starts_with(kwargs)) variables[option.name.substr(kwargs.size())] = option.value;
  if (!variables.empty()) d.set("data.chat_template_kwargs", variables, kwargs + "*");
  d.told({kwargs + "*", "config-name", "config-path"});
  tensorboard(d, "trainer.logger", "verl");
  if (const std::string mode = d.text("trainer.resume_mode"); !mode.empty())
    d.set("run.resume", mode == "disable" ? "never" : mode == "resume_path" ? "must" : "auto", "trainer.resume_mode");
  d.told({"trainer.resume_mode", "trainer.project_name"});
  if (d.given("trainer.experiment_name"))
    d.set("run.name", d.text("trainer.experiment_name"), "trainer.experiment_name");
  if (d.given("trainer.default_local_dir"))
    d.set("run.output_dir", d.text("trainer.default_local_dir"), "trainer.default_local_dir");
  d.told({"trainer.experiment_name", "trainer.default_local_dir"});
  if (d.text(actor + "policy_loss.loss_mode") != "kl_cov") d.keep_default("algorithm.kl_cov_coefficient");
  if (!d.given("algorithm.rollout_correction.rollout_is")) d.keep_default("algorithm.rollout_correction_max");
  for (const std::string at : {"reward.custom_reward_function.", "custom_reward_function."})
    python_reward(d, at + "path", at + "name", at + "reward_kwargs");
  gsm8k_columns(d, "data.train_files");
  if (d.has("data.answer_key"))
    d.set("data.prompt_template", "{{ content }} Let's think step by step and output the final answer after \"####\".",
          "of verl's examples/data_preprocess/gsm8k.py");
  math(d, "chosen there by the data set's name");
}

}  // namespace grpo::config
