// config: the effective configuration with where each value came from; the reference page; the schema for editors.
#include <iostream>

#include "commands.hpp"

namespace grpo::host {

void add_config(CLI::App& app, Action& action) {
  struct Arguments {
    RunArguments run;
    bool schema = false, reference = false, keys = false;
  };
  auto* sub = app.add_subcommand("config", "The effective configuration, each value with where it came from");
  auto a = std::make_shared<Arguments>();
  a->run.add_config(*sub);
  sub->add_flag("--schema", a->schema, "JSON Schema of the configuration file, for editors");
  sub->add_flag("--reference", a->reference, "Every key with its type, default and meaning, as Markdown");
  sub->add_flag("--keys", a->keys, "The same, one line a key");
  sub->callback([a, &action] {
    action = [a] {
      std::cout << (a->schema      ? config::json_schema()
                    : a->reference ? config::reference_markdown()
                    : a->keys      ? config::key_help()
                                   : config::effective_yaml(a->run.load_config(), /*with_origins=*/true))
                << std::flush;
      return 0;
    };
  });
}

}  // namespace grpo::host
