// plugins validate: does a plugin keep the contract? The conformance suite, out of process.
#include <unistd.h>

#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/validate.hpp"
#include "grpo/sdk/report/visible.hpp"

namespace grpo::host {
namespace {

struct Arguments {
  std::string file;
  plugins::ValidateSettings settings;
  bool json = false, list = false;
};

int list() {
  for (const auto& c : plugins::validation_checks()) std::cout << std::left << std::setw(26) << c.id << c.what << '\n';
  return 0;
}

int validate(Arguments& a) {
  if (a.list) return list();
  if (a.file.empty()) throw Error("which file? `grpo-host plugins validate PLUGIN.so`");
  const bool watched = !a.json && ::isatty(STDERR_FILENO);
  int done = 0;
  if (watched)
    a.settings.on_result = [&](const plugins::ValidationResult& r) {
      std::cerr << "\r\x1b[K" << ++done << "  " << r.component << ' ' << r.check << std::flush;
    };
  const auto result = plugins::validate(a.file, a.settings);
  if (watched) std::cerr << "\r\x1b[K";
  if (a.json)
    std::cout << plugins::json_of(result).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  else
    std::cout << report::visible(plugins::table_of(result));
  return result.passed() ? 0 : 1;
}

}  // namespace

void add_plugins_validate(Command plugins) {
  auto a = std::make_shared<Arguments>();
  Command command = plugins.command("validate", "Does a plugin keep the contract? Exit status 1: a check fails");
  command.option("file", a->file, "The plugin: a .so file").existing_file();
  command.flag("--json", a->json, "The results as JSON");
  command.option("--component", a->settings.component, "Only this component of the library");
  command.option("--options", a->settings.options, "For open, as a JSON object; a model takes its directory here");
  command.option("--only", a->settings.only, "A check, or the first part of its name, such as reward; may be repeated");
  command.option("--timeout", a->settings.timeout_seconds, "Seconds a check may take").positive();
  command.flag("--quick", a->settings.quick, "Fewer repetitions");
  command.flag("--list", a->list, "What is checked");
  command.action([a] { return validate(*a); });
}

}  // namespace grpo::host
