// commands.hpp: the subcommands of grpo-host, one file each.
//
// Each add_* describes its options on the program's command line and says what runs. What runs throws grpo::Error for
// everything that a person can put right; main prints it and exits with 1.
#ifndef GRPO_HOST_COMMANDS_HPP
#define GRPO_HOST_COMMANDS_HPP

#include <filesystem>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "grpo/sdk/config/config.hpp"
#include "grpo/sdk/report/console.hpp"

namespace grpo::host {

// Groups of commands in --help.
inline constexpr const char *group_training = "Training", *group_filters = "JSON Lines in, JSON Lines out",
                            *group_models = "Models", *group_tools = "Plugins and configuration";

// --plugins, --config and section.key=value, which many commands share.
struct RunArguments {
  std::vector<std::string> plugins;
  std::string config_file;
  std::vector<std::string> overrides;
  bool check = false;

  void add_plugins(Command command);
  void add_check(Command command);  // --check-plugins, for commands that call plugins; add_config has it
  void add_config(Command command);
  config::Config load_config() const;
  // --plugins, or where this program's own plugins are: beside it in a build tree, or in its installation.
  std::vector<std::filesystem::path> plugin_places() const;
};

// The flags that say which model and how to sample, for commands without a configuration file.
struct ModelArguments {
  RunArguments run;
  std::string model, dtype = "float32", device = "cpu";
  void add(Command command);
  config::Config config() const;
};

void add_demo(Command program);       // demo
void add_training(Command program);   // train, sft
void add_eval(Command program);       // eval
void add_report(Command program);     // report
void add_generate(Command program);   // generate
void add_logprobs(Command program);   // logprobs
void add_text(Command program);       // tokenize, render
void add_score(Command program);      // score
void add_grade(Command program);      // grade
void add_objective(Command program);  // objective
void add_import(Command program);     // import, export
void add_plugins(Command program);    // plugins list, plugins describe
void add_plugins_validate(Command plugins);
void add_config(Command program);   // config
void add_convert(Command program);  // convert
void add_doctor(Command program);   // doctor

// Below `plugins`, one file each.
void add_plugins_new(Command plugins);
void add_plugins_replay(Command plugins);
void add_plugins_fuzz(Command plugins);

// Exit status 128 + signal when a signal ended it early.
int run_training(const RunArguments& arguments, bool sft);
report::Progress progress_of(const config::Config& config);
int run_demo(const RunArguments& arguments);

}  // namespace grpo::host

#endif
