// grpo-plugin-check JOB: runs checks of the conformance suite on a plugin, in this process, because plugins crash.
// Started by `grpo-host plugins validate`.
#include <unistd.h>

#include <cstdio>
#include <exception>

#include "child.hpp"

int main(int argc, char** argv) {
  if (argc != 2 || ::lseek(3, 0, SEEK_CUR) == -1) {
    if (argc != 2 || errno == EBADF) {
      std::fputs("grpo-plugin-check: used by `grpo-host plugins validate` to check a plugin in a process of its own\n",
                 stderr);
      return 2;
    }
  }
  try {
    return grpo::plugins::conformance::run_job(argv[1]);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "grpo-plugin-check: %s\n", e.what());
    return 2;
  }
}
