#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "grpo/sdk/error.hpp"
#include "helper.hpp"
#include "library.hpp"
#include "utf8.hpp"

namespace grpo::plugins {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t longest_report = 64 * 1024;

struct Report {
  std::string steps, errors;  // what the helper says, and what the library wrote to standard error
  int status = 0;             // as waitpid gives it
  bool late = false;
};

// Reads both pipes until the child has closed them or time is up; true: in time.
bool drain(Pipe& steps, Pipe& errors, Report& report, std::chrono::steady_clock::time_point until) {
  pollfd fds[2] = {{steps.out, POLLIN, 0}, {errors.out, POLLIN, 0}};
  std::string* into[2] = {&report.steps, &report.errors};
  int open = 2;
  while (open > 0) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
    if (left <= 0) return false;
    if (::poll(fds, 2, static_cast<int>(left)) < 0 && errno != EINTR) return false;
    for (int i = 0; i < 2; ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t n = ::read(fds[i].fd, buffer, sizeof buffer);
      if (n > 0 && into[i]->size() < longest_report) into[i]->append(buffer, static_cast<std::size_t>(n));
      if (n == 0 || (n < 0 && errno != EINTR)) {
        fds[i].fd = -1;
        --open;
      }
    }
    if (fds[0].fd < 0) return true;  // a grandchild may keep standard error open
  }
  return true;
}

Report run_probe(const std::string& helper, const std::string& path, double seconds) {
  Pipe steps, errors;
  const pid_t child = Start({helper, path})
                          .open(0, "/dev/null", O_RDONLY)
                          .open(1, "/dev/null", O_WRONLY)
                          .give(errors.in, 2)
                          .give(steps.in, 3)
                          .run();
  steps.close_in();
  errors.close_in();
  Report report;
  const auto until =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
  report.late = !drain(steps, errors, report, until);
  // A library may close every descriptor and stay: the end of the pipe is not the end of the process.
  while (!report.late && ::waitpid(child, &report.status, WNOHANG) == 0) {
    report.late = std::chrono::steady_clock::now() >= until;
    if (!report.late) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  if (!report.late) return report;
  ::kill(child, SIGKILL);
  while (::waitpid(child, &report.status, 0) < 0 && errno == EINTR) {
  }
  return report;
}

// The end of standard error.
std::string last_words(const std::string& errors) {
  const std::string words = one_line(errors, 600);
  return words.empty() ? words : "; it wrote: " + words;
}

void judge(const Report& report, double seconds) {
  const auto reached = [&](const char* step) {
    return report.steps.find(std::string(step) + "\n") != std::string::npos;
  };
  if (reached("done")) return;
  // Refusals of the loader and of the entry are the same in this process, where they are told in full.
  if (report.steps.find("refused\n") != std::string::npos) return;
  const std::string when = reached("loaded") ? "in its grpo_plugin_entry" : "while it was loaded, before any call";
  if (report.late) {
    throw Error("did not come back within " + std::to_string(static_cast<int>(seconds)) + " s " + when);
  }
  if (WIFSIGNALED(report.status)) {
    const int number = WTERMSIG(report.status);
    const char* name = sigabbrev_np(number);
    throw Error("crashed " + when + " (SIG" + (name ? name : std::to_string(number)) + ", tried in a child process)" +
                last_words(report.errors));
  }
  throw Error("ended the process " + when + " (exit code " + std::to_string(WEXITSTATUS(report.status)) +
              ", tried in a child process)" + last_words(report.errors));
}

// What stays the same as long as the file does: one line of the file of remembered probes.
std::string identity_line(const std::string& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) return {};
  std::error_code ignored;
  return std::to_string(st.st_dev) + ' ' + std::to_string(st.st_ino) + ' ' + std::to_string(st.st_size) + ' ' +
         std::to_string(st.st_mtim.tv_sec) + '.' + std::to_string(st.st_mtim.tv_nsec) + ' ' +
         fs::weakly_canonical(path, ignored).string();
}

bool remembered(const std::string& file, const std::string& line) {
  std::ifstream in(file);
  for (std::string known; std::getline(in, known);) {
    if (known == line) return true;
  }
  return false;
}

// Best effort: a home that cannot be written to costs a probe a run, no more. One write, so that lines do not mix.
void remember(const std::string& file, const std::string& line) {
  std::error_code ignored;
  fs::create_directories(fs::path(file).parent_path(), ignored);
  const bool full = fs::file_size(file, ignored) > 1024 * 1024 && !ignored;
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (full ? O_TRUNC : 0), 0600);
  if (fd < 0) return;
  const std::string text = line + '\n';
  [[maybe_unused]] const ssize_t written = ::write(fd, text.data(), text.size());
  ::close(fd);
}

}  // namespace

void probe_library(const std::string& path, const RegistrySettings& settings) {
  const std::string line = identity_line(path);
  const bool cache = !settings.probe_cache.empty() && !line.empty() && line.find('\n') == std::string::npos;
  if (cache && remembered(settings.probe_cache, line)) return;
  judge(run_probe(find_helper("grpo-plugin-probe", settings.probe, "tries a library before this process loads it"),
                  path, settings.probe_seconds),
        settings.probe_seconds);
  if (cache) remember(settings.probe_cache, line);
}

}  // namespace grpo::plugins
