#include "process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "../helper.hpp"
#include "../utf8.hpp"
#include "grpo/sdk/error.hpp"

namespace grpo::plugins::conformance {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kept_output = 4096;
constexpr std::size_t longest_line = 1 << 20;

// Time, as far as this process ran: a machine that was suspended, or a group of processes that was stopped, has not
// kept anybody waiting.
class Patience {
 public:
  static constexpr int turn_ms = 100;  // the longest between two turns
  explicit Patience(double seconds)
      : left_(std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))) {}
  void turn() {
    const auto now = Clock::now();
    left_ -= std::min<Clock::duration>(now - last_, std::chrono::milliseconds(2 * turn_ms));
    last_ = now;
  }
  bool over() const { return left_ <= Clock::duration::zero(); }

 private:
  Clock::duration left_;
  Clock::time_point last_ = Clock::now();
};

// Takes whole lines out of the buffer.
bool take_lines(std::string& buffer, const std::function<bool(const std::string&)>& on_line) {
  bool progress = false;
  for (std::size_t end; (end = buffer.find('\n')) != std::string::npos; buffer.erase(0, end + 1))
    progress = on_line(buffer.substr(0, end)) || progress;
  if (buffer.size() > longest_line) buffer.clear();
  return progress;
}

}  // namespace

std::string signal_name(int number) {
  const char* name = sigabbrev_np(number);
  return name ? std::string("SIG") + name : "signal " + std::to_string(number);
}

Ending run_child(const std::string& helper, const std::string& job, double seconds,
                 const std::function<bool(const std::string&)>& on_line) {
  Pipe lines, output;
  const pid_t child = Start({helper, job})
                          .open(0, "/dev/null", O_RDONLY)
                          .give(output.in, 1)
                          .give(output.in, 2)
                          .give(lines.in, 3)
                          .own_group()  // so that what the plugin starts can be ended with it
                          .run();
  lines.close_in();
  output.close_in();
  Patience patience(seconds);
  Ending ending;
  std::string buffer, words;
  pollfd fds[2] = {{lines.out, POLLIN, 0}, {output.out, POLLIN, 0}};
  while (fds[0].fd >= 0 && !patience.over()) {
    if (::poll(fds, 2, Patience::turn_ms) < 0 && errno != EINTR) break;
    patience.turn();
    for (int i = 0; i < 2; ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      char bytes[4096];
      const ssize_t n = ::read(fds[i].fd, bytes, sizeof bytes);
      if (n == 0 || (n < 0 && errno != EINTR)) fds[i].fd = -1;
      if (n <= 0) continue;
      std::string& into = i == 0 ? buffer : words;
      into.append(bytes, static_cast<std::size_t>(n));
      if (i == 0 && take_lines(buffer, on_line)) patience = Patience(seconds);
      if (i == 1 && words.size() > kept_output) words.erase(0, words.size() - kept_output);
    }
  }
  // It may close its descriptors and stay.
  int status = 0;
  while (!patience.over() && ::waitpid(child, &status, WNOHANG) == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    patience.turn();
  }
  ending.late = patience.over();
  ::kill(-child, SIGKILL);  // and whatever it started
  if (ending.late)
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
  // What is left in the pipe, without waiting for a grandchild that holds it.
  ::fcntl(output.out, F_SETFL, O_NONBLOCK);
  char bytes[4096];
  for (ssize_t n; (n = ::read(output.out, bytes, sizeof bytes)) > 0;) words.append(bytes, static_cast<std::size_t>(n));
  ending.last_words = one_line(words, 400);
  if (!ending.late && WIFSIGNALED(status)) ending.signal = WTERMSIG(status);
  if (!ending.late && WIFEXITED(status)) ending.code = WEXITSTATUS(status);
  return ending;
}

}  // namespace grpo::plugins::conformance
