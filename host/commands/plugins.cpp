// plugins list, plugins describe: what is in the plugin directories, without running any of it.
#include <iostream>
#include <map>

#include "commands.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/manifest.hpp"
#include "grpo/sdk/train/session.hpp"

namespace grpo::host {
namespace {

int list(const RunArguments& a) {
  const auto registry = train::make_registry(a.plugin_places());
  std::cout << plugins::list(registry.manifests());
  // Libraries that plugins bring along lie in the same places: they are counted, and nobody's fault.
  bool broken = false;
  std::vector<const plugins::Refusal*> others;
  for (const auto& refusal : registry.refusals()) {
    if (!refusal.is_plugin) {
      others.push_back(&refusal);
      continue;
    }
    std::cerr << "refused: " << refusal.path << ": " << refusal.reason << '\n';
    broken = true;
  }
  constexpr std::size_t named = 3;  // a folder of a build has hundreds
  for (std::size_t i = 0; i < others.size() && i < named; ++i)
    std::cerr << "no plugin: " << others[i]->path << ": " << others[i]->reason << '\n';
  if (others.size() > named)
    std::cerr << "no plugin: " << others.size() - named << " more .so files (`plugins describe FILE` says why)\n";
  // Of two files that offer the same, a run can take neither.
  std::map<std::pair<std::string, std::string>, std::string> first;
  for (const auto& manifest : registry.manifests())
    for (const auto& c : manifest.components) {
      const auto [at, is_new] = first.try_emplace({c.interface_id, c.name}, manifest.path);
      if (is_new) continue;
      std::cerr << "twice: '" << c.name << "' (" << c.interface_id << ") is in " << at->second << " and in "
                << manifest.path << ": take one of them out\n";
      broken = true;
    }
  return broken ? 1 : 0;
}

// By component name, by library name, or by file.
int describe(const RunArguments& a, const std::string& what) {
  if (std::filesystem::is_regular_file(what)) {
    std::cout << plugins::describe(plugins::read_manifest(what));
    return 0;
  }
  const auto registry = train::make_registry(a.plugin_places());
  bool found = false;
  std::string names;
  for (const auto& manifest : registry.manifests()) {
    bool matches = manifest.name == what;
    for (const auto& c : manifest.components) {
      matches = matches || c.name == what;
      names += (names.empty() ? "" : ", ") + c.name;
    }
    if (matches) std::cout << plugins::describe(manifest), found = true;
  }
  if (!found) throw Error("there is no plugin '" + what + "'; there are: " + (names.empty() ? "none" : names));
  return 0;
}

}  // namespace

void add_plugins(Command program) {
  Command sub = program.command("plugins", "List and describe plugins; start a new one, validate, fuzz and replay it");
  sub.group(group_tools);
  sub.require_command();
  {
    auto a = std::make_shared<RunArguments>();
    Command command = sub.command(
        "list", "One line a component; other files are named with the reason. Exit status 1: a plugin is broken");
    a->add_plugins(command);
    command.action([a] { return list(*a); });
  }
  {
    struct Arguments : RunArguments {
      std::string what;
    };
    auto a = std::make_shared<Arguments>();
    Command command = sub.command("describe", "One plugin: components, options with types, defaults and limits");
    a->add_plugins(command);
    command.option("plugin", a->what, "Name of a component or library, or a .so file").required();
    command.action([a] { return describe(*a, a->what); });
  }
  add_plugins_validate(sub);
  add_plugins_new(sub);
  add_plugins_replay(sub);
  add_plugins_fuzz(sub);
}

}  // namespace grpo::host
