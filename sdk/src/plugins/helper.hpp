// helper.hpp: where the host's helper programs are, and how they report to it.
#ifndef GRPO_PLUGINS_HELPER_HPP
#define GRPO_PLUGINS_HELPER_HPP

#include <string>

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

}  // namespace grpo::plugins

#endif
