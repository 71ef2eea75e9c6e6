// train, sft: the stages of training from a configuration.
#include <unistd.h>

#include "commands.hpp"
#include "grpo/sdk/train/stage.hpp"

namespace grpo::host {

int run_training(const RunArguments& arguments, bool sft) {
  train::StageSettings settings;
  settings.config = arguments.load_config();
  if (settings.config.run.name.empty() && !arguments.config_file.empty())
    settings.config.run.name = std::filesystem::path(arguments.config_file).stem().string();
  settings.plugin_directories = arguments.plugin_places();
  const auto& wanted = settings.config.report.progress;
  report::Console console(wanted == "always"  ? report::Progress::always
                          : wanted == "never" ? report::Progress::never
                                              : report::Progress::automatic);
  settings.console = &console;
  sft ? train::sft(settings) : train::train(settings);
  return 0;
}

void add_training(CLI::App& app, Action& action) {
  for (const bool sft : {false, true}) {
    auto* sub = app.add_subcommand(sft ? "sft" : "train",
                                   sft ? "Supervised training on given completions" : "GRPO and its family");
    auto a = std::make_shared<RunArguments>();
    a->add_plugins(*sub);
    a->add_config(*sub);
    sub->callback([a, &action, sft] { action = [a, sft] { return run_training(*a, sft); }; });
  }
}

}  // namespace grpo::host
