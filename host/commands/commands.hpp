// commands.hpp: the subcommands of grpo-host, one file each.
//
// Each add_* describes its options on the application and says what runs. What runs throws grpo::Error for everything
// that a person can put right; main prints it and exits with 1.
#ifndef GRPO_HOST_COMMANDS_HPP
#define GRPO_HOST_COMMANDS_HPP

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "grpo/sdk/config/config.hpp"
#include "grpo/sdk/report/console.hpp"

namespace grpo::host {

// What a command does when it was chosen; its exit status.
using Action = std::function<int()>;

// Groups of commands in --help.
inline constexpr const char *group_training = "Training", *group_filters = "JSON Lines in, JSON Lines out",
                            *group_models = "Models", *group_tools = "Plugins and configuration";

// --plugins, --config and section.key=value, which many commands share.
struct RunArguments {
  std::vector<std::string> plugins;
  std::string config_file;
  std::vector<std::string> overrides;

  void add_plugins(CLI::App& app);
  void add_config(CLI::App& app);
  config::Config load_config() const;
  // --plugins, or where this program's own plugins are: beside it in a build tree, or in its installation.
  std::vector<std::filesystem::path> plugin_places() const;
};

// The flags that say which model and how to sample, for commands without a configuration file.
struct ModelArguments {
  RunArguments run;
  std::string model, dtype = "float32", device = "cpu";
  void add(CLI::App& app);
  config::Config config() const;
};

void add_demo(CLI::App& app, Action& action);       // demo
void add_training(CLI::App& app, Action& action);   // train, sft
void add_eval(CLI::App& app, Action& action);       // eval
void add_generate(CLI::App& app, Action& action);   // generate
void add_logprobs(CLI::App& app, Action& action);   // logprobs
void add_text(CLI::App& app, Action& action);       // tokenize, render
void add_score(CLI::App& app, Action& action);      // score
void add_grade(CLI::App& app, Action& action);      // grade
void add_objective(CLI::App& app, Action& action);  // objective
void add_import(CLI::App& app, Action& action);     // import, export
void add_plugins(CLI::App& app, Action& action);    // plugins list, plugins describe
void add_config(CLI::App& app, Action& action);     // config
void add_doctor(CLI::App& app, Action& action);     // doctor

// Exit status 128 + signal when a signal ended it early.
int run_training(const RunArguments& arguments, bool sft);
report::Progress progress_of(const config::Config& config);
int run_demo(const RunArguments& arguments);

}  // namespace grpo::host

#endif
