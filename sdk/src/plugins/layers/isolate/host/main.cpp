// grpo-plugin-host: started by the SDK to run a plugin in a process of its own; of no use by hand.
//
//   grpo-plugin-host supervise HOST MEMORY PROCESSES       watches over ...
//   grpo-plugin-host work SUPERVISOR MEMORY PROCESSES      ... the process that loads the plugin
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "modes.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#include <string>

// A plugin that crashes is to be seen crashing; and it cannot be traced for leaks.
static void leave_crashes_alone() {
  for (const char* name : {"ASAN_OPTIONS", "TSAN_OPTIONS"}) {
    const char* given = std::getenv(name);
    std::string options = given ? std::string(given) + ":" : "";
    options += "handle_segv=0:handle_abort=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0";
    if (name[0] == 'A') options += ":detect_leaks=0:allocator_may_return_null=1";
    ::setenv(name, options.c_str(), 1);
  }
}
#else
static void leave_crashes_alone() {}
#endif

int main(int argc, char** argv) {
  using namespace grpo::plugins::isolate;
  if (argc != 5 || (std::strcmp(argv[1], "supervise") != 0 && std::strcmp(argv[1], "work") != 0)) {
    std::fputs("grpo-plugin-host: runs a plugin that is configured with `isolate: true`; grpo-host starts it\n",
               stderr);
    return 2;
  }
  Limits limits;
  limits.memory = std::atoll(argv[3]);
  limits.processes = std::atoll(argv[4]);
  const int parent = std::atoi(argv[2]);
  if (argv[1][0] == 'w') return work(parent, limits);
  leave_crashes_alone();
  ::close_range(socket_fd + 1, ~0u, 0);  // what the host left open is not the plugin's
  return supervise(parent, limits);
}
