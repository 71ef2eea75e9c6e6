// convert: the configuration of another trainer, as one of ours.
#include <fmt/format.h>

#include <iostream>

#include "commands.hpp"
#include "grpo/sdk/config/convert.hpp"

namespace grpo::host {
namespace {

struct ConvertArguments {
  std::string file, system;
  std::vector<std::string> overrides;
};

int run_convert(const ConvertArguments& a) {
  const auto c = config::convert(a.file, a.overrides, a.system);
  std::cout << c.yaml << std::flush;
  std::cerr << fmt::format("{}: {} options are taken over, {} have no place here, {} to look at\n", c.system, c.taken,
                           c.dropped, c.open);
  return 0;
}

}  // namespace

void add_convert(Command program) {
  Command sub = program.command(
      "convert",
      "A configuration of TRL, verl, EasyR1, AReaL or MindSpeed-RL, as one of ours: YAML on standard output");
  sub.group(group_tools);
  auto a = std::make_shared<ConvertArguments>();
  sub.option("file", a->file, "Their YAML or JSON, shell script (.sh) or Python script (.py)")
      .required()
      .existing_file();
  sub.option("overrides", a->overrides, "Options of theirs, option=value, which win over the file");
  sub.option("--from", a->system, "Whose it is; default: whose options they are").one_of(config::systems());
  sub.action([a] { return run_convert(*a); });
}

}  // namespace grpo::host
