// grpo-host: loads plugins and trains language models with GRPO; its subcommands are tools of their own.
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <system_error>

#include "commands/commands.hpp"
#include "grpo/sdk/plugins/crash.hpp"
#include "grpo/sdk/plugins/left_behind.hpp"
#include "grpo/sdk/report/visible.hpp"

namespace {

// The end of the program. While a call hangs in a plugin, destructors of statics must not run beside it.
int ended(int status) {
  if (grpo::plugins::calls_left_behind() == 0) return status;
  std::cout.flush();
  std::fflush(nullptr);
  _exit(status);
}

// Plugins bring an OpenMP runtime, which reads these when it is loaded, that is, after main has begun. By default its
// idle threads spin for milliseconds: on a machine that has other work, each short loop then waits for a thread that
// the system has put aside while it spins for the others. Threads that sleep at once cost a wake-up a loop instead,
// which trebles the time of a tiny model. So they spin for some microseconds, then sleep. What the user has set stays.
void let_idle_threads_sleep() {
  if (!std::getenv("OMP_WAIT_POLICY")) setenv("GOMP_SPINCOUNT", "1000", /*overwrite=*/0);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace grpo::host;
  namespace report = grpo::report;
  let_idle_threads_sleep();
  grpo::plugins::name_crashes("grpo-host");
  // Writing past a limit on file sizes is then an error of the write, with a message, not the end of the process.
  std::signal(SIGXFSZ, SIG_IGN);
  CommandLine line(
      "grpo-host",
      "Trains language models with GRPO, with models, samplers, rewards and optimizers from plugins.\n"
      "Without a command it trains (`grpo-host --config run.yaml`), with --plugins alone it runs the demo.",
      "grpo-host " GRPO_VERSION);
  Command program = line.program();
  program.footer(
      "First steps: `grpo-host demo`, `grpo-host doctor`, `grpo-host train --help`. A command's own options: COMMAND "
      "--help.");
  RunArguments run;
  run.add_plugins(program);
  run.add_config(program);
  add_demo(program);
  add_training(program);
  add_eval(program);
  add_report(program);
  add_generate(program);
  add_logprobs(program);
  add_text(program);
  add_score(program);
  add_grade(program);
  add_objective(program);
  add_import(program);
  add_plugins(program);
  add_config(program);
  add_convert(program);
  add_doctor(program);
  if (const auto status = line.parse(argc, argv)) return *status;

  Action action = line.chosen();
  if (!action) {
    if (argc == 1) {
      std::cout << line.help();
      return 0;
    }
    const bool demo = run.config_file.empty() && run.overrides.empty();
    action = [&run, demo] { return demo ? run_demo(run) : run_training(run, /*sft=*/false); };
  }
  try {
    const int status = action();
    errno = 0;
    if (std::cout.flush()) return ended(status);
    std::cerr << "grpo-host: standard output cannot be written"
              << (errno ? ": " + std::generic_category().message(errno) : std::string()) << '\n';
    return ended(1);
  } catch (const std::bad_alloc&) {
    std::cout.flush();
    std::cerr << "grpo-host: out of memory: the system, or a limit on this process, gives no more\n";
    return ended(1);
  } catch (const std::exception& e) {
    std::cout.flush();
    std::cerr << "grpo-host: " << report::visible(e.what()) << '\n';
    return ended(1);
  }
}
