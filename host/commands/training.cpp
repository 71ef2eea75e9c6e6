// train, sft: the stages of training from a configuration.
#include "commands.hpp"
#include "grpo/sdk/train/stage.hpp"
#include "interrupt.hpp"

namespace grpo::host {

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
    Command sub = program.command(sft ? "sft" : "train",
                                  sft ? "Supervised training on given completions" : "GRPO and its family");
    auto a = std::make_shared<RunArguments>();
    a->add_plugins(sub);
    a->add_config(sub);
    sub.action([a, sft] { return run_training(*a, sft); });
  }
}

}  // namespace grpo::host
