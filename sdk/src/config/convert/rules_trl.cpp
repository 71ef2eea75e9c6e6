#include "rules.hpp"

namespace grpo::config {

void trl(Draft& d) {
  for (const std::string at : {"model_name_or_path", "model"})
    if (d.given(at)) {
      if (d.set("model.path", d.text(at), at)) needs_directory(d, at);
      break;
    }
  for (const std::string at : {"dataset_name", "train_dataset"})
    if (d.given(at)) {
      if (at == "dataset_name") d.set("data.path", d.text(at), at);
      needs_file(d, at);
      gsm8k_columns(d, at);
      break;
    }
  d.told(
      {"model", "model_name_or_path", "dataset_name", "dataset_config", "train_dataset", "processing_class", "args"});
  if (d.given("max_prompt_length")) {
    d.set("data.max_prompt_length", *d.theirs.find("max_prompt_length"), "max_prompt_length");
    d.set("data.overlong_prompts", "truncate_left", "as TRL did with max_prompt_length");
  }
  d.told({"max_prompt_length"});
  d.look("what the script maps the rows to: data.system_prompt, data.prompt_template");
  const double group = d.number("num_generations", 8), device = d.number("per_device_train_batch_size", 8),
               accumulation = d.number("gradient_accumulation_steps", 1),
               steps = d.number("steps_per_generation", accumulation);
  const double completions = d.number("generation_batch_size", device * steps);
  d.set("algorithm.prompts_per_step", std::max(1.0, std::round(completions / group)),
        "per_device_train_batch_size x steps_per_generation / num_generations, of one process");
  d.set("algorithm.minibatches", std::max(1.0, std::round(steps / accumulation)),
        "steps_per_generation / gradient_accumulation_steps");
  d.told(
      {"per_device_train_batch_size", "gradient_accumulation_steps", "generation_batch_size", "steps_per_generation"});
  const std::string dtype = d.flag("bf16", false) ? "bfloat16" : d.text("dtype", d.text("torch_dtype"));
  if (dtype == "bfloat16" || dtype == "float32") d.set("model.dtype", dtype, d.flag("bf16", false) ? "bf16" : "dtype");
  d.told({"bf16", "dtype", "torch_dtype"});
  adam(d, "adam_beta1", "adam_beta2", "adam_epsilon");
  if (d.text("optim", "adamw").starts_with("adamw")) d.told({"optim"});
  if (const json* scale = d.theirs.find("scale_rewards"); scale && scale->is_boolean()) {
    d.set("algorithm.advantage", scale->get<bool>() ? "group" : "none", "scale_rewards");
    d.told({"scale_rewards"});
  }
  if (const double warmup = d.number("warmup_steps", 0); warmup > 0 && warmup < 1) {
    d.set("optimizer.warmup_ratio", warmup, "warmup_steps");
    d.told({"warmup_steps"});
  }
  if (d.flag("use_peft", false))
    lora(d, d.given("lora_r") ? "lora_r" : "use_peft", "lora_alpha", "lora_target_modules", "lora_dropout");
  if (d.flag("use_peft", false) && !d.given("lora_r"))
    d.set("model.lora", {{"rank", 16}, {"alpha", 32}}, "use_peft, and TRL's defaults");
  lora(d, "lora.r", "lora.lora_alpha", "lora.target_modules", "lora.lora_dropout");
  d.told({"use_peft", "lora_*", "lora.*", "peft_config"});
  if (d.text("save_strategy") == "no") d.set("checkpoint.every_steps", 0, "save_strategy");
  for (const std::string at : {"save_strategy", "eval_strategy", "logging_strategy"})
    if (const auto value = d.text(at); value == "no" || value == "steps") d.told({at});
  tensorboard(d, "report_to", "trl");
  for (const std::string key : {"algorithm.rollout_correction", "reference.mixup_alpha"}) d.keep_default(key);
  if (const json* functions = d.theirs.find("reward_funcs")) {
    json rewards = json::array();
    for (const auto& function : functions->is_array() ? *functions : json::array({*functions}))
      rewards.push_back({{"plugin", "python"},
                         {"name", function.is_string() ? json(function.get<std::string>()) : function},
                         {"options", {{"function", "rewards.py:" + function.get<std::string>()}}}});
    d.set("rewards", rewards, "reward_funcs");
    d.look(
        "reward_funcs: put the functions into a file of their own, rewards.py beside this one: it is imported, so it "
        "must not train. GSM8K's five are plugins already (docs/rewards.md)");
    d.told({"reward_funcs"});
  }
  math(d, "reward_funcs is in the script");
}

}  // namespace grpo::config
