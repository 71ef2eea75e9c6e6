// command.hpp: runs a command of the shell.
#ifndef GRPO_TESTS_ATTACKS_COMMAND_HPP
#define GRPO_TESTS_ATTACKS_COMMAND_HPP

#include <sys/wait.h>

#include <cstdio>
#include <string>

struct Result {
  int status;  // 128 + the signal where there was one
  std::string text;
};

// Of bash, with grpo-host as $HOST and the plugins of this tree as $PLUGINS; `text` is what it wrote to standard
// output.
inline Result shell(const std::string& command) {
  const std::string line = "HOST='" GRPO_BINARY_DIR "/bin/grpo-host'; PLUGINS='" GRPO_PLUGIN_DIR "'; " + command;
  FILE* pipe = popen(line.c_str(), "r");
  std::string text;
  char buffer[4096];
  while (const std::size_t n = pipe ? std::fread(buffer, 1, sizeof buffer, pipe) : 0) text.append(buffer, n);
  const int status = pipe ? pclose(pipe) : -1;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), text};
}

#endif
