// plugins fuzz: a reward on inputs that nobody thought of.
#include <unistd.h>

#include <filesystem>
#include <iostream>

#include "commands.hpp"
#include "filter.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/fuzz.hpp"
#include "grpo/sdk/report/visible.hpp"

namespace grpo::host {
namespace {

struct FuzzArguments {
  std::string library, component, options = "{}", corpus, output;
  std::int64_t runs = 2000, seed = 1, memory_mb = 4096;
  double seconds = 60, timeout = 10;
  bool as_json = false;
};

Json as_json(const plugins::FuzzReport& report) {
  Json out = {{"runs", report.runs},
              {"calls", report.calls},
              {"seconds", report.seconds},
              {"refused", report.refused},
              {"failed", report.failed}};
  out["findings"] = Json::array();
  for (const auto& f : report.findings)
    out["findings"].push_back({{"kind", f.kind},
                               {"what", f.what},
                               {"input", f.input},
                               {"file", f.file},
                               {"run", f.run},
                               {"output", f.output}});
  return out;
}

void print(const plugins::FuzzReport& report, const FuzzArguments& a) {
  for (const auto& f : report.findings) {
    std::cout << f.kind << ": " << report::visible(f.what) << "\n  " << report::visible(f.input) << '\n';
    if (!f.output.empty()) std::cout << "  its process printed: " << report::visible(f.output, "    ", 600) << '\n';
    std::cout << "  grpo-host plugins replay " << f.file << " --plugin " << a.library
              << (f.kind == "hang"       ? " --kill-after 10"
                  : f.kind == "contract" ? " --check-plugins"
                                         : "")
              << '\n';
  }
  std::cout << report.runs << " batches in " << report.calls << " calls"
            << (report.runs < a.runs ? " until the time was up" : "") << ", seed " << a.seed << ", "
            << report.findings.size() << (report.findings.size() == 1 ? " finding" : " findings");
  if (report.refused > 0) std::cout << "; options refused in " << report.refused << " rounds";
  if (report.failed > 0)
    std::cout << "; " << report.failed << " batches failed as a whole: " << report::visible(report.failure, "  ", 200);
  std::cout << '\n';
}

int fuzz(const FuzzArguments& a) {
  const auto options = nlohmann::json::parse(a.options, nullptr, false);
  if (!options.is_object()) throw Error("--options: not a JSON object: " + a.options);
  plugins::FuzzSettings settings;
  settings.host = std::filesystem::read_symlink("/proc/self/exe").string();
  settings.library = std::filesystem::absolute(a.library).string();
  settings.component = a.component;
  settings.options = &options;
  settings.corpus = a.corpus;
  settings.output = a.output;
  settings.seed = static_cast<std::uint64_t>(a.seed);
  settings.runs = a.runs;
  settings.seconds = a.seconds;
  settings.timeout_seconds = a.timeout;
  settings.memory_mb = a.memory_mb;
  const bool watched = !a.as_json && ::isatty(STDERR_FILENO);
  if (watched)
    settings.progress = [](std::int64_t runs, std::size_t findings) {
      std::cerr << "\r\x1b[K" << runs << " batches, " << findings << (findings == 1 ? " finding" : " findings")
                << std::flush;
    };
  const auto report = plugins::fuzz(settings);
  if (watched) std::cerr << "\r\x1b[K";
  if (a.as_json)
    std::cout << as_json(report).dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
  else
    print(report, a);
  return report.findings.empty() ? 0 : 1;
}

}  // namespace

void add_plugins_fuzz(Command plugins) {
  auto a = std::make_shared<FuzzArguments>();
  Command command = plugins.command(
      "fuzz", "A reward on made-up and changed batches, in a process of its own. Exit status 1: something was found");
  command.option("file", a->library, "The plugin's .so file").required().existing_file();
  command.option("--component", a->component, "Which reward, if it has several");
  command.option("--runs", a->runs, "Batches").positive();
  command.option("--seconds", a->seconds, "Time for them").positive();
  command.option("--seed", a->seed, "Of the inputs: the same seed, the same inputs").not_negative();
  command.option("--corpus", a->corpus, "A recording whose batches are changed").existing_file();
  command.option("--options", a->options, "Options that stay as they are, as JSON; the others are made up");
  command.option("--output", a->output, "Failing cases go to OUTPUT.<kind>.calls. Default: the reward's name");
  command.option("--timeout", a->timeout, "Seconds a call may take before it is a hang").positive();
  command.option("--memory-mb", a->memory_mb, "Memory that the plugin's process may take; 0: no limit").not_negative();
  command.flag("--json", a->as_json, "One JSON object in place of the list");
  command.action([a] { return fuzz(*a); });
}

}  // namespace grpo::host
