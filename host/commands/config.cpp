// config: the effective configuration with where each value came from; the reference page; the schema for editors.
#include <iostream>

#include "commands.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/train/option_paths.hpp"
#include "grpo/sdk/train/session.hpp"

namespace grpo::host {
namespace {

// Paths among the options of plugins are known by the plugins' manifests; where there are none, they stay as written.
std::string effective(const RunArguments& a) {
  auto config = a.load_config();
  try {
    auto places = a.plugin_places();
    places.insert(places.end(), config.run.plugins.begin(), config.run.plugins.end());
    train::resolve_option_paths(config, train::make_registry(places));
  } catch (const Error& e) {
    std::cerr << "paths in options are left as they are written: " << e.what() << '\n';
  }
  return config::effective_yaml(config, /*with_origins=*/true);
}

}  // namespace

void add_config(Command program) {
  struct Arguments {
    RunArguments run;
    bool schema = false, reference = false, keys = false;
  };
  Command sub = program.command("config", "The effective configuration, each value with where it came from");
  sub.group(group_tools);
  auto a = std::make_shared<Arguments>();
  a->run.add_plugins(sub);
  a->run.add_config(sub);
  sub.flag("--schema", a->schema, "JSON Schema of the configuration file, for editors");
  sub.flag("--reference", a->reference, "Every key with its type, default and meaning, as Markdown");
  sub.flag("--keys", a->keys, "The same, one line a key");
  sub.action([a] {
    std::cout << (a->schema      ? config::json_schema()
                  : a->reference ? config::reference_markdown()
                  : a->keys      ? config::key_help()
                                 : effective(a->run))
              << std::flush;
    return 0;
  });
}

}  // namespace grpo::host
