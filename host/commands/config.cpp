// config: the effective configuration with where each value came from; the reference page; the schema for editors.
#include <iostream>

#include "commands.hpp"

namespace grpo::host {

void add_config(Command program) {
  struct Arguments {
    RunArguments run;
    bool schema = false, reference = false, keys = false;
  };
  Command sub = program.command("config", "The effective configuration, each value with where it came from");
  auto a = std::make_shared<Arguments>();
  a->run.add_config(sub);
  sub.flag("--schema", a->schema, "JSON Schema of the configuration file, for editors");
  sub.flag("--reference", a->reference, "Every key with its type, default and meaning, as Markdown");
  sub.flag("--keys", a->keys, "The same, one line a key");
  sub.action([a] {
    std::cout << (a->schema      ? config::json_schema()
                  : a->reference ? config::reference_markdown()
                  : a->keys      ? config::key_help()
                                 : config::effective_yaml(a->run.load_config(), /*with_origins=*/true))
              << std::flush;
    return 0;
  });
}

}  // namespace grpo::host
