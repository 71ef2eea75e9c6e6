#include "tree.hpp"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace grpo::plugins::isolate {
namespace {

std::string contents(const std::string& path) {
  std::string out;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return out;
  char bytes[4096];
  for (ssize_t n; (n = ::read(fd, bytes, sizeof bytes)) > 0;) out.append(bytes, static_cast<std::size_t>(n));
  ::close(fd);
  return out;
}

// The names in a directory that are numbers.
std::vector<std::string> numbers_in(const std::string& path) {
  std::vector<std::string> out;
  DIR* directory = ::opendir(path.c_str());
  if (!directory) return out;
  while (const dirent* entry = ::readdir(directory)) {
    if (std::isdigit(static_cast<unsigned char>(entry->d_name[0]))) out.emplace_back(entry->d_name);
  }
  ::closedir(directory);
  return out;
}

bool lists_children() {
  static const bool yes = ::access("/proc/thread-self/children", R_OK) == 0;
  return yes;
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> out;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  for (const std::string& thread : numbers_in(tasks)) {
    const std::string list = contents(tasks + "/" + thread + "/children");
    for (const char* at = list.c_str(); *at;) {
      char* end = nullptr;
      const long child = std::strtol(at, &end, 10);
      if (end == at) break;
      out.push_back(static_cast<pid_t>(child));
      at = end + (*end == ' ');
    }
  }
  return out;
}

// Where the system lists no children: everybody's parent.
std::multimap<pid_t, pid_t> everybody() {
  std::multimap<pid_t, pid_t> by_parent;
  for (const std::string& name : numbers_in("/proc")) {
    const std::string line = contents("/proc/" + name + "/stat");
    const std::size_t at = line.rfind(')');
    int parent = 0;
    if (at != line.npos && std::sscanf(line.c_str() + at + 1, " %*c %d", &parent) == 1)
      by_parent.emplace(parent, std::atoi(name.c_str()));
  }
  return by_parent;
}

std::vector<pid_t> descendants_of(pid_t pid) {
  std::vector<pid_t> out{pid};
  const auto known = lists_children() ? std::multimap<pid_t, pid_t>() : everybody();
  for (std::size_t i = 0; i < out.size() && out.size() < 100'000; ++i) {
    if (lists_children()) {
      for (const pid_t child : children_of(out[i])) out.push_back(child);
    } else {
      const auto [from, to] = known.equal_range(out[i]);
      for (auto at = from; at != to; ++at) out.push_back(at->second);
    }
  }
  out.erase(out.begin());
  return out;
}

std::int64_t own_bytes(pid_t pid) {
  static const std::int64_t page = ::sysconf(_SC_PAGESIZE);
  long long resident = 0, shared = 0;
  const std::string line = contents("/proc/" + std::to_string(pid) + "/statm");
  if (std::sscanf(line.c_str(), "%*d %lld %lld", &resident, &shared) != 2) return 0;
  return (resident - shared) * page;
}

void pause_ms(long ms) {
  const timespec time{0, ms * 1'000'000};
  ::nanosleep(&time, nullptr);
}

}  // namespace

Tree look_at_tree(pid_t first, bool below) {
  Tree tree;
  if (!below) {
    tree.bytes = own_bytes(first);
    return tree;
  }
  for (const pid_t pid : descendants_of(::getpid())) {
    tree.bytes += own_bytes(pid);
    tree.processes += pid != first;
  }
  return tree;
}

void kill_tree(pid_t first, int* status) {
  // A process that is killed leaves its children to this one, so each round sees all that are left. Those that still
  // fork are outrun because nothing waits between the rounds at first.
  for (int round = 0;; ++round) {
    if (first > 0) ::kill(first, SIGKILL);
    for (const pid_t pid : descendants_of(::getpid())) ::kill(pid, SIGKILL);
    int ended = 0;
    pid_t pid;
    while ((pid = ::waitpid(-1, &ended, WNOHANG)) > 0) {
      if (pid != first) continue;
      *status = ended;
      first = 0;  // the number may be somebody else's from now on
    }
    if (pid < 0 && errno == ECHILD) return;
    if (round > 5) pause_ms(round < 200 ? 1 : 20);
    if (round > 2000) return;  // some 40 s: what is left cannot be killed
  }
}

}  // namespace grpo::plugins::isolate
