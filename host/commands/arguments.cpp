#include <unistd.h>

#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "grpo/sdk/config/nearest.hpp"
#include "grpo/sdk/error.hpp"

namespace grpo::host {
namespace fs = std::filesystem;

void RunArguments::add_plugins(Command command) {
  command.option(
      "--plugins", plugins,
      "Directory with plugins, or one .so; repeatable. Default: this program's own");  // what follows is an override,
                                                                                       // not another directory
}

void RunArguments::add_check(Command command) {
  command.flag("--check-plugins", check,
               "Hold every call of a plugin against the contract, and name the rule that is broken (docs/checks.md)");
}

void RunArguments::add_config(Command command) {
  add_check(command);
  command.option("--config", config_file, "The run's YAML file").existing_file();
  command.option("overrides", overrides, "section.key=value, which wins over the file");
}

config::Config RunArguments::load_config() const {
  for (const auto& text : overrides)
    if (text.find('=') == std::string::npos)
      throw Error("'" + text + "' is neither a command nor section.key=value; see grpo-host --help." +
                  config::did_you_mean(
                      text, {"demo", "train", "sft", "eval", "generate", "logprobs", "tokenize", "render", "score",
                             "grade", "objective", "import", "export", "plugins", "config", "convert", "doctor"}));
  auto all = overrides;
  if (check) all.push_back("run.check_plugins=true");
  return config::load(config_file.empty() ? std::nullopt : std::optional<fs::path>(config_file), all);
}

std::vector<fs::path> RunArguments::plugin_places() const {
  std::vector<fs::path> places(plugins.begin(), plugins.end());
  if (!places.empty()) return places;
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  for (const fs::path& place :
       {self.parent_path().parent_path() / "plugins", self.parent_path().parent_path() / "lib/grpo/plugins"})
    if (fs::is_directory(place)) places.push_back(place);
  if (places.empty()) throw Error("no plugins: give their directory with --plugins DIR");
  return places;
}

void ModelArguments::add(Command command) {
  run.add_plugins(command);
  run.add_check(command);
  command.option("--model", model, "Model directory in Hugging Face layout").required().existing_directory();
  command.option("--dtype", dtype, "Type to compute in").one_of({"float32", "bfloat16"});
  command.option("--device", device, "Where to compute: cpu or cuda");
}

config::Config ModelArguments::config() const {
  std::vector<std::string> overrides{"model.path=" + model, "model.dtype=" + dtype, "model.device=" + device};
  if (run.check) overrides.emplace_back("run.check_plugins=true");
  return config::load(std::nullopt, overrides);
}

}  // namespace grpo::host
