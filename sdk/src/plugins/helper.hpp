// helper.hpp: where the host's helper programs are, how they are started, and how they report to it.
#ifndef GRPO_PLUGINS_HELPER_HPP
#define GRPO_PLUGINS_HELPER_HPP

#include <spawn.h>
#include <sys/types.h>

#include <string>
#include <vector>

namespace grpo::plugins {

// The path of the helper `name`: `given` if it is not empty; else beside this program or library, where an installation
// puts it, or where a build does. Throws grpo::Error, which says where it looked and what the helper is for ("tries a
// library before ...").
std::string find_helper(const std::string& name, const std::string& given, const std::string& what_for);

// From a helper to this process; both ends are closed on exec and with the object. Throws grpo::Error.
struct Pipe {
  int in = -1, out = -1;  // the helper writes into `in`
  Pipe();
  ~Pipe();
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_in();
};

// A program about to be started, with no signal blocked:
//
//     const pid_t child = Start({helper, "work"}).open(0, "/dev/null", O_RDONLY).give(pipe.in, 1).own_group().run();
//
// Descriptors are set in this order in the child; those of this process are closed on exec, or should be.
class Start {
 public:
  explicit Start(std::vector<std::string> words);  // the program's file, and its arguments
  ~Start();
  Start(const Start&) = delete;
  Start& operator=(const Start&) = delete;
  Start& open(int fd, const char* path, int flags, mode_t mode = 0);
  Start& give(int fd, int as);
  Start& close_from(int fd);
  Start& default_signals();       // also those that this process ignores
  Start& own_group();             // so that what it starts can be ended with it
  Start& own_session();           // what the terminal sends (an interrupt) does not reach it
  Start& from(std::string file);  // which is run in place of words[0]
  pid_t run();                    // throws grpo::Error

 private:
  Start& flag(short flag);
  std::vector<std::string> words_;
  std::string file_;
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace grpo::plugins

#endif
