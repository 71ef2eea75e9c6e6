#include <unistd.h>

#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "grpo/sdk/error.hpp"

namespace grpo::host {
namespace fs = std::filesystem;

void RunArguments::add_plugins(Command command) {
  command.option(
      "--plugins", plugins,
      "Directory with plugins (or one .so); may be given several times. Default: those that came with this program");
}

void RunArguments::add_config(Command command) {
  command.option("--config", config_file, "YAML file; see `grpo-host config --reference`").existing_file();
  command.option("overrides", overrides,
                 "Values that win over the file: section.key=value, such as optimizer.learning_rate=1e-5");
}

config::Config RunArguments::load_config() const {
  for (const auto& text : overrides)
    if (text.find('=') == std::string::npos)
      throw Error("'" + text + "' is neither a command nor section.key=value; see grpo-host --help");
  return config::load(config_file.empty() ? std::nullopt : std::optional<fs::path>(config_file), overrides);
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
  command.option("--model", model, "Model directory in Hugging Face layout").required().existing_directory();
  command.option("--dtype", dtype, "Type to compute in").one_of({"float32", "bfloat16"});
  command.option("--device", device, "cpu or cuda");
}

config::Config ModelArguments::config() const {
  return config::load(std::nullopt, {"model.path=" + model, "model.dtype=" + dtype, "model.device=" + device});
}

}  // namespace grpo::host
