// train, sft: the stages of training from a configuration.
#include "commands.hpp"
#include "grpo/sdk/train/stage.hpp"
#include "interrupt.hpp"

namespace grpo::host {
namespace {

// Names as a user of TRL or verl knows them are in parentheses: they work too.
constexpr const char* train_footer = R"(Examples:
  grpo-host train --config run.yaml
  grpo-host train --config run.yaml run.max_steps=50 optimizer.learning_rate=1e-5 rewards.math.weight=2
  grpo-host train model.path=DIR data.path=train.jsonl data.prompt_key=question rewards='[math]'

The keys most used (names that TRL, verl and Hugging Face have for them work too):
  model.path                  model directory in Hugging Face layout   (model_name_or_path)
  data.path                   prompts, JSON Lines                      (train_files)
  data.prompt_key, answer_key columns of the prompt and the truth
  rewards                     list of reward plugins                   `grpo-host plugins list`
  algorithm.objective         dapo, grpo, dr_grpo, gspo, cispo ...     (loss_type)
  algorithm.group_size        completions of each prompt               (num_generations, n)
  algorithm.prompts_per_step  prompts of a step                        (train_batch_size)
  algorithm.kl_coefficient    KL to the reference; 0: none             (beta, kl_coef)
  sampler.max_new_tokens      longest completion                       (max_completion_length)
  sampler.temperature
  optimizer.learning_rate                                              (lr)
  run.max_steps               or run.epochs                            (total_training_steps)
  run.output_dir              default: runs/<name of the file>
  run.resume                  never, auto, must
  run.stages                  [sft, train]: both, one after the other
  run.preflight               warn, stop, off: what is looked at before the first update
  checkpoint.every_steps                                               (save_steps)
All of them: `grpo-host config --keys`. What a run would do: `grpo-host config --config run.yaml`.

A run writes report.html (curves and samples, while it goes on), metrics.jsonl, samples.jsonl, run.log, run.yaml and
checkpoint-N/ (which transformers loads) into run.output_dir. `report.tensorboard=true` adds TensorBoard files.
Ctrl-C ends it after the running step, with a checkpoint that run.resume=auto goes on from.)";

constexpr const char* sft_footer = R"(Examples:
  grpo-host sft --config run.yaml
  grpo-host sft model.path=DIR data.path=train.jsonl data.prompt_key=question sft.completion_key=solution

The keys most used (names that TRL, verl and Hugging Face have for them work too):
  model.path                  model directory in Hugging Face layout   (model_name_or_path)
  data.path                   prompts and completions, JSON Lines      (train_files)
  data.prompt_key             column of the prompt; or data.messages_key
  sft.completion_key          column of the text to learn
  sft.completion_only_loss    true: the prompt is not learnt
  sft.batch_size              sequences of a step                      (train_batch_size)
  sft.learning_rate                                                    (lr)
  sft.epochs, sft.max_steps                                            (num_train_epochs)
  sft.max_length              longest sequence                         (max_seq_length)
  run.output_dir              default: runs/<name of the file>
All of them: `grpo-host config --keys`.

A run writes metrics.jsonl, run.log, run.yaml and checkpoint-N/ (which transformers loads) into run.output_dir.)";

}  // namespace

int run_training(const RunArguments& arguments, bool sft) {
  train::StageSettings settings;
  settings.config = arguments.load_config();
  if (settings.config.run.name.empty() && !arguments.config_file.empty())
    settings.config.run.name = std::filesystem::path(arguments.config_file).stem().string();
  settings.plugin_directories = arguments.plugin_places();
  report::Console console(progress_of(settings.config));
  settings.console = &console;
  settings.stop = [] { return interrupted() != 0; };
  catch_interrupts();
  const auto result = sft ? train::sft(settings) : train::train(settings);
  return result.interrupted ? 128 + interrupted() : 0;
}

report::Progress progress_of(const config::Config& config) {
  return config.report.progress == "always"  ? report::Progress::always
         : config.report.progress == "never" ? report::Progress::never
                                             : report::Progress::automatic;
}

void add_training(Command program) {
  for (const bool sft : {false, true}) {
    Command sub =
        program.command(sft ? "sft" : "train", sft ? "Supervised training on given completions"
                                                   : "Reinforcement learning from rewards: GRPO and its family");
    sub.group(group_training);
    sub.footer(sft ? sft_footer : train_footer);
    auto a = std::make_shared<RunArguments>();
    a->add_plugins(sub);
    a->add_config(sub);
    sub.action([a, sft] { return run_training(*a, sft); });
  }
}

}  // namespace grpo::host
