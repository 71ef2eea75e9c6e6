// plugins replay: the calls of a recording, made again and compared.
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "commands.hpp"
#include "filter.hpp"
#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/checked.hpp"
#include "grpo/sdk/plugins/recorded.hpp"
#include "grpo/sdk/plugins/replay.hpp"
#include "grpo/sdk/report/visible.hpp"
#include "grpo/sdk/train/session.hpp"

namespace grpo::host {
namespace {

struct ReplayArguments {
  RunArguments run;
  std::string file, plugin, options = "{}", record;
  double tolerance = 0, timeout = 0, kill_after = 0;
  std::int64_t memory_mb = 0;
  std::size_t most = 20;
  bool as_json = false, ignore_messages = false;
};

// The component of a file that the recording is about: by its name, or the only one with this interface.
std::shared_ptr<const plugins::Component> component_of_file(const std::string& path, const plugins::RecordingInfo& info,
                                                            plugins::Registry& registry) {
  registry.add_file(path);
  for (const auto& refusal : registry.refusals()) throw Error(refusal.path + ": " + refusal.reason);
  const auto names = registry.names(info.interface_id);
  if (registry.has(info.interface_id, info.name)) return registry.load(info.interface_id, info.name);
  if (names.size() == 1) return registry.load(info.interface_id, names[0]);
  throw Error(path + ": has " + (names.empty() ? "no" : "several") + " components with " + info.interface_id +
              (names.empty() ? "" : ", none of which is called '" + info.name + "'"));
}

std::shared_ptr<const plugins::Component> find_plugin(const ReplayArguments& a, const plugins::RecordingInfo& info) {
  if (std::filesystem::is_regular_file(a.plugin)) {
    auto registry = train::make_registry({});
    return component_of_file(a.plugin, info, registry);
  }
  if (a.plugin.find('/') != std::string::npos) throw Error("--plugin: " + a.plugin + ": there is no such file");
  auto registry = train::make_registry(a.run.plugin_places());
  try {
    return registry.load(info.interface_id, a.plugin.empty() ? info.name : a.plugin);
  } catch (const Error& e) {
    if (!a.plugin.empty()) throw;
    throw Error(e.what() + std::string("\n  It was recorded from ") + info.path +
                "; name the plugin's file: --plugin " +
                (std::filesystem::is_regular_file(info.path) ? info.path : "FILE.so"));
  }
}

// Which call is being made, for the line that a crash leaves.
volatile std::sig_atomic_t current_call = 0;

void write_call(const char* what) {
  char line[96];
  std::strcpy(line, what);
  std::size_t n = std::strlen(line);
  char digits[16];
  int count = 0;
  for (int value = current_call; value > 0 || count == 0; value /= 10)
    digits[count++] = static_cast<char>('0' + value % 10);
  while (count > 0) line[n++] = digits[--count];
  std::memcpy(line + n, " of the recording\n", 18);
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line, n + 18);
}

extern "C" void tell_call(int signal) {
  write_call("grpo-host: the plugin crashed in call ");
  std::signal(signal, SIG_DFL);
  raise(signal);
}

// Behind checks that tell each violation in a line, with its call. Around a recording, which so has what the plugin
// did.
std::shared_ptr<const plugins::Component> with_checks(std::shared_ptr<const plugins::Component> plugin,
                                                      std::atomic<int>& violations) {
  plugins::CheckSettings settings;
  settings.sink = [&violations](const plugins::Violation& v) {
    if (v.by_caller || v.rule->severity != plugins::Severity::violation) return;
    ++violations;
    std::string line = "grpo-host: call " + std::to_string(current_call) + ": " + report::visible(v.text());
    std::replace(line.begin(), line.end(), '\n', ' ');
    line += '\n';
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
  };
  return plugins::checked(std::move(plugin), std::move(settings));
}

// On a stack of its own: the plugin's may be what ran out.
void tell_crashes() {
  static char stack[64 * 1024];
  stack_t other{};
  other.ss_sp = stack;
  other.ss_size = sizeof stack;
  sigaltstack(&other, nullptr);
  struct sigaction action {};
  action.sa_handler = tell_call;
  action.sa_flags = SA_ONSTACK | SA_RESETHAND;
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigaction(signal, &action, nullptr);
}

// The call is over, however that came about.
struct NoCall {
  ~NoCall() { current_call = 0; }
};

// A plugin that calls exit must not look like one that agreed.
void tell_exit() {
  if (current_call == 0) return;
  write_call("grpo-host: the plugin ended the process in call ");
  _exit(1);
}

// Ends this process when it is not called again, or with 0, in time.
void alarm_in(double seconds) {
  const itimerval timer{
      {0, 0}, {static_cast<time_t>(seconds), static_cast<suseconds_t>((seconds - std::floor(seconds)) * 1e6)}};
  setitimer(ITIMER_REAL, &timer, nullptr);
}

void limit_memory(std::int64_t megabytes) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  (void)megabytes;  // a sanitizer takes terabytes of addresses
#else
  const rlimit limit{static_cast<rlim_t>(megabytes) << 20, static_cast<rlim_t>(megabytes) << 20};
  setrlimit(RLIMIT_AS, &limit);
#endif
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
}

using Row = std::array<std::string, 5>;

// In aligned columns; a cell that is longer than 40 (the text of an error, say) moves what follows on its line alone.
void print_table(const std::vector<Row>& rows) {
  std::array<std::size_t, 5> width{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i)
      if (const std::size_t cells = report::cells(row[i]); cells <= 40) width[i] = std::max(width[i], cells);
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) {
      const std::size_t cells = report::cells(row[i]);
      std::cout << row[i] << std::string(std::max(width[i], cells) - cells + 2, ' ');
    }
    std::cout << row.back() << '\n';
  }
}

void print(const plugins::ReplayReport& report, const ReplayArguments& a) {
  const auto& info = report.info;
  std::cout << info.interface_id << " '" << info.name << "' of " << info.plugin << ' ' << info.version
            << ", recorded by " << info.host << '\n';
  const auto cell = [](const std::string& text) { return report::visible(text); };
  std::vector<Row> rows;
  if (!report.differences.empty()) rows.push_back({"call", "at", "what", "expected", "got"});
  for (std::size_t i = 0; i < report.differences.size() && i < a.most; ++i) {
    const auto& d = report.differences[i];
    rows.push_back({std::to_string(d.call) + ' ' + d.function, d.at < 0 ? "-" : std::to_string(d.at), cell(d.what),
                    cell(d.expected.empty() ? "-" : d.expected), cell(d.got)});
  }
  print_table(rows);
  if (report.n_differences > a.most) std::cout << "... and " << report.n_differences - a.most << " more (--most)\n";
  for (const auto& note : report.notes) std::cout << "note: " << cell(note) << '\n';
  std::cout << report.calls << " calls made again, " << report.compared << " values compared, " << report.n_differences
            << (report.n_differences == 1 ? " difference\n" : " differences\n");
}

void print_json(const plugins::ReplayReport& report) {
  const auto& info = report.info;
  Json out = {{"interface", info.interface_id},
              {"name", info.name},
              {"plugin", info.plugin},
              {"version", info.version},
              {"host", info.host},
              {"calls", report.calls},
              {"compared", report.compared},
              {"differences", report.n_differences}};
  out["list"] = Json::array();
  for (const auto& d : report.differences)
    out["list"].push_back({{"call", d.call},
                           {"function", d.function},
                           {"at", d.at < 0 ? Json(nullptr) : Json(d.at)},
                           {"what", d.what},
                           {"expected", d.expected},
                           {"got", d.got}});
  out["notes"] = report.notes;
  std::cout << out.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
}

int replay(const ReplayArguments& a) {
  const auto options = nlohmann::json::parse(a.options, nullptr, false);
  if (!options.is_object()) throw Error("--options: not a JSON object: " + a.options);
  auto plugin = find_plugin(a, plugins::recording_info(a.file));
  if (!a.record.empty()) plugin = plugins::recorded(plugin, {.file = a.record, .host = "grpo-host " GRPO_VERSION});
  std::atomic<int> violations{0};
  if (a.run.check) plugin = with_checks(plugin, violations);
  tell_crashes();
  std::atexit(tell_exit);
  plugins::ReplaySettings settings;
  settings.tolerance = a.tolerance;
  settings.compare_messages = !a.ignore_messages;
  settings.options = &options;
  settings.timeout_seconds = a.timeout;
  settings.services = train::make_services(nullptr, 1);
  settings.before = [&a](std::uint64_t call, const std::string&) {
    current_call = static_cast<int>(call);
    if (a.kill_after > 0) alarm_in(a.kill_after);
  };
  if (a.memory_mb > 0) limit_memory(a.memory_mb);
  const auto report = [&] {
    const NoCall after;
    return plugins::replay(a.file, std::move(plugin), settings);
  }();
  alarm_in(0);
  if (a.as_json)
    print_json(report);
  else
    print(report, a);
  return report.same() && violations == 0 ? 0 : 1;
}

}  // namespace

void add_plugins_replay(Command plugins) {
  auto a = std::make_shared<ReplayArguments>();
  Command command = plugins.command(
      "replay",
      "Makes the calls of a recording again, without model or data, and compares. Exit status 1: they differ");
  a->run.add_plugins(command);
  a->run.add_check(command);
  command.option("file", a->file, "What `record: FILE` wrote").required().existing_file();
  command.option("--plugin", a->plugin,
                 "The plugin: a .so file, or a name among --plugins. Default: the recorded name");
  command.option("--options", a->options, "Options in place of recorded ones, as JSON");
  command.option("--tolerance", a->tolerance, "Numbers may differ by this, absolute up to 1, relative above")
      .not_negative();
  command.flag("--ignore-messages", a->ignore_messages, "Do not compare texts of errors");
  command.option("--timeout", a->timeout, "Seconds until the deadline of a call; 0: none").not_negative();
  command.option("--kill-after", a->kill_after, "Seconds after which a call that does not return ends this process")
      .not_negative();
  command.option("--memory-mb", a->memory_mb, "Memory that this process may take; 0: no limit").not_negative();
  command.option("--record", a->record, "Records these calls in turn");
  command.option("--most", a->most, "Differences that are listed");
  command.flag("--json", a->as_json, "One JSON object in place of the table");
  command.action([a] { return replay(*a); });
}

}  // namespace grpo::host
