// grpo-plugin-host: started by the SDK to run a plugin in a process of its own; of no use by hand.
//
//   grpo-plugin-host supervise HOST MEMORY PROCESSES       watches over ...
//   grpo-plugin-host work SUPERVISOR MEMORY PROCESSES      ... the process that loads the plugin
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "modes.hpp"

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
  ::close_range(socket_fd + 1, ~0u, 0);  // what the host left open is not the plugin's
  return supervise(parent, limits);
}
