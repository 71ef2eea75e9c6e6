#include "rules.hpp"

namespace grpo::config {

void easyr1(Draft& d) {
  needs_directory(d, "worker.actor.model.model_path");
  if (d.given("data.train_files")) d.set("data.path", d.text("data.train_files"), "data.train_files");
  needs_file(d, "data.train_files");
  held_out(d, "data.val_files");
  d.told({"data.train_files", "trainer.val_generations_to_log"});
  if (!d.flag("trainer.val_only", false)) d.told({"trainer.val_only"});
  minibatches(d, "data.rollout_batch_size", 512, "worker.actor.global_batch_size", 256);
  if (d.flag("algorithm.disable_kl", false)) {
    d.set("algorithm.kl_coefficient", 0, "algorithm.disable_kl");
  } else {
    d.set("algorithm.kl_coefficient", d.number("algorithm.kl_coef", 0.001), "algorithm.kl_coef");
    if (!d.flag("algorithm.use_kl_loss", false)) d.set("algorithm.kl_in_reward", true, "no algorithm.use_kl_loss");
  }
  d.told({"algorithm.disable_kl", "algorithm.kl_coef", "algorithm.use_kl_loss"});
  if (d.flag("algorithm.disable_kl", false)) d.told({"algorithm.kl_*"});
  if (d.flag("algorithm.online_filtering", false)) {
    d.set("algorithm.dynamic_sampling", "mean", "algorithm.online_filtering");
    const double most = d.number("trainer.max_try_make_batch", 20);
    if (most > 0)
      d.set("algorithm.max_resamples", std::max(1.0, most - 1), "trainer.max_try_make_batch, less the first");
    if (d.text("algorithm.filter_key", "overall") == "overall") d.told({"algorithm.filter_key"});
  } else {
    d.told({"algorithm.filter_*"});
    d.keep_default("algorithm.max_resamples");
  }
  d.told({"algorithm.online_filtering", "trainer.max_try_make_batch"});
  const std::string model = "worker.actor.model.lora.";
  lora(d, model + "rank", model + "alpha", model + "target_modules");
  d.told({model + "*"});
  const std::string val = "worker.rollout.val_override_config.";
  for (const auto& [theirs, ours] :
       {std::pair{"temperature", "evaluation.temperature"}, {"top_p", "evaluation.top_p"}, {"n", "evaluation.samples"}})
    if (d.given(val + theirs)) d.set(ours, *d.theirs.find(val + theirs), val + theirs);
  d.told({val + "*"});
  filter_overlong(d, d.flag("data.filter_overlong_prompts", true), "", "data.filter_overlong_prompts");
  d.told({"data.filter_overlong_prompts"});
  if (d.given("data.format_prompt"))
    d.set("data.prompt_template", "file:" + d.text("data.format_prompt"), "data.format_prompt");
  d.told({"data.format_prompt", "worker.actor.micro_batch_size*", "worker.actor.dynamic_batching"});
  python_reward(d, "worker.reward.reward_function", "", "worker.reward.reward_function_kwargs");
  adam(d, "worker.actor.optim.beta1", "worker.actor.optim.beta2", "worker.actor.optim.eps");
  if (d.text("worker.actor.loss_type", "default") == "default") d.told({"worker.actor.loss_type"});
  if (d.text("worker.actor.loss_type") == "cispo") {
    d.keep_default("algorithm.delta");  // has no dual clip
    d.look("worker.actor.clip_ratio_high: of cispo: algorithm.cispo_max_ratio is 1 + clip_ratio_high");
  }
  d.told({"worker.actor.optim.strategy"});
  tensorboard(d, "trainer.logger", "easyr1");
  if (d.flag("trainer.find_last_checkpoint", true) || d.given("trainer.load_checkpoint_path"))
    d.set("run.resume", "auto", "trainer.find_last_checkpoint");
  d.told({"trainer.find_last_checkpoint", "trainer.project_name"});
  if (d.given("trainer.experiment_name"))
    d.set("run.name", d.text("trainer.experiment_name"), "trainer.experiment_name");
  d.told({"trainer.experiment_name"});
  gsm8k_columns(d, "data.train_files");
  math(d, "no reward_function is given");
}

}  // namespace grpo::config
