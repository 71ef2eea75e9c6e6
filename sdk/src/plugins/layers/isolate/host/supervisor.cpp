// The process between the host and the plugin's: it starts it, takes what it writes, watches what it uses, and when it
// ends, or the host does, or the host says so, ends it and everything that it started.
//
// It runs no code of the plugin. As the reaper of orphans below it (PR_SET_CHILD_SUBREAPER) it is the parent that every
// grandchild falls to, whatever session or group that one has made for itself, so none can be lost. It has one thread:
// the plugin's process asks for a signal when its parent dies, and the kernel means the parent's thread.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <string>

#include "../channel.hpp"
#include "control.pb.h"
#include "grpo/sdk/error.hpp"
#include "helper.hpp"
#include "modes.hpp"
#include "tree.hpp"

namespace grpo::plugins::isolate {
namespace {

constexpr std::size_t longest_words = 600, longest_line = 1024, largest_report = 16 * 1024;
constexpr double lines_bytes_a_second = 4096, lines_burst = 16 * 1024;
constexpr int tick_ms = 100;

double now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

int pidfd_of(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

// Standard output and standard error of the plugin: so many bytes a second go on to the host, the rest is counted.
class Output {
 public:
  explicit Output(int report) : report_(report) {}

  void take(const char* bytes, std::size_t n) {
    last_words_.append(bytes + (n > longest_words ? n - longest_words : 0), std::min(n, longest_words));
    if (last_words_.size() > longest_words) last_words_.erase(0, last_words_.size() - longest_words);
    for (const char* end = bytes + n; bytes < end;) {
      const void* newline = std::memchr(bytes, '\n', static_cast<std::size_t>(end - bytes));
      const char* to = newline ? static_cast<const char*>(newline) + 1 : end;
      const auto size = static_cast<std::size_t>(to - bytes);
      if (line_.size() + size <= longest_line)
        line_.append(bytes, size);
      else
        left_out_ += size;
      if (newline) finish_line();
      bytes = to;
    }
  }

  // Never waits: the host reads when it calls. What it has not read is kept, within bounds. What was left out is told
  // once a second, and at the end.
  void send(bool last = false) {
    const bool tell_rest = left_out_ > 0 && (last || now() - told_ >= 1);
    if (ready_.empty() && !tell_rest) return;
    wire::Report report;
    report.mutable_output()->set_text(ready_);
    if (tell_rest) report.mutable_output()->set_left_out(left_out_);
    const std::string bytes = report.SerializeAsString();
    if (::send(report_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return;
    ready_.clear();
    if (!tell_rest) return;
    left_out_ = 0;
    told_ = now();
  }
  const std::string& last_words() const { return last_words_; }

 private:
  void finish_line() {
    const double t = now();
    allowance_ = std::min(lines_burst, allowance_ + (t - filled_) * lines_bytes_a_second);
    filled_ = t;
    if (static_cast<double>(line_.size()) <= allowance_ && ready_.size() + line_.size() <= largest_report) {
      allowance_ -= static_cast<double>(line_.size());
      if (!line_.ends_with('\n')) line_ += '\n';
      ready_ += line_;
    } else {
      left_out_ += line_.size();
    }
    line_.clear();
  }
  int report_;
  std::string line_, ready_, last_words_;
  std::uint64_t left_out_ = 0;
  double allowance_ = lines_burst, filled_ = now(), told_ = 0;
};

class Supervisor {
 public:
  Supervisor(pid_t host, const Limits& limits) : host_(host), limits_(limits), output_(report_fd) {}

  int run() {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) ::signal(signal, SIG_IGN);
    host_fd_ = Descriptor(pidfd_of(host_));
    if (::getppid() != host_) return 1;  // the host was gone before its pid could be watched
    if (const std::string error = start(); !error.empty()) {
      ended_.set_cause(wire::Ended::NOT_STARTED);
      ended_.set_error(error);
    } else {
      watch();
      finish();
    }
    tell();
    return 0;
  }

 private:
  std::string start() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return std::string("cannot make a pipe: ") + std::strerror(errno);
    pipe_ = Descriptor(ends[0]);
    Descriptor in(ends[1]), socket(socket_fd);
    ::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
    try {
      worker_ = Start({"grpo-plugin-host", "work", std::to_string(::getpid()), std::to_string(limits_.memory),
                       std::to_string(limits_.processes)})
                    .from("/proc/self/exe")
                    .give(socket_fd, 3)
                    .give(in.get(), 1)
                    .give(in.get(), 2)
                    .close_from(4)
                    .default_signals()
                    .own_group()
                    .run();
    } catch (const Error& e) {
      return e.what();
    }
    worker_fd_ = Descriptor(pidfd_of(worker_));
    if (worker_fd_ && host_fd_) return {};
    int status = 0;
    kill_tree(worker_, &status);
    return "this system cannot watch a process (pidfd_open: Linux 5.3 or later)";
  }

  // Until the plugin's process ends, or has to.
  void watch() {
    for (double next_look = now() + tick_ms * 1e-3;;) {
      pollfd fds[4] = {
          {report_fd, POLLIN, 0}, {host_fd_.get(), POLLIN, 0}, {worker_fd_.get(), POLLIN, 0}, {pipe_.get(), POLLIN, 0}};
      const int left = static_cast<int>((next_look - now()) * 1000) + 1;
      const int n = ::poll(fds, 4, std::max(left, 0));
      if (n < 0 && errno != EINTR) return end(wire::Ended::ASKED, 0);
      // The host never writes here: whatever is readable is the end of its side.
      if (n > 0 && (fds[0].revents || fds[1].revents)) return end(wire::Ended::ASKED, 0);
      if (n > 0 && fds[3].revents) drain();
      if (n > 0 && fds[2].revents) return end(wire::Ended::BY_ITSELF, 0);
      if (now() < next_look) continue;
      next_look = now() + tick_ms * 1e-3;
      output_.send();
      const Tree tree = look_at_tree(worker_, limits_.processes > 0);
      if (limits_.memory > 0 && tree.bytes > limits_.memory) return end(wire::Ended::MEMORY, tree.bytes);
      if (tree.processes > limits_.processes && limits_.processes > 0)
        return end(wire::Ended::PROCESSES, tree.processes);
    }
  }

  void end(wire::Ended::Cause cause, std::int64_t amount) {
    ended_.set_cause(cause);
    ended_.set_amount(amount);
  }

  // Some of what there is to read: a flood must not keep this loop from looking at the rest.
  void drain() {
    char bytes[64 * 1024];
    for (int i = 0; i < 16; ++i) {
      const ssize_t n = ::read(pipe_.get(), bytes, sizeof bytes);
      if (n > 0) {
        output_.take(bytes, static_cast<std::size_t>(n));
      } else {
        if (n == 0) pipe_.reset();  // closed; poll passes over a descriptor of -1
        break;
      }
    }
  }

  void finish() {
    int status = 0;
    kill_tree(worker_, &status);
    if (pipe_) drain();
    ended_.set_wait_status(status);
    ended_.set_last_words(output_.last_words());
  }

  // Waits for room: this report must arrive, unless nobody is there to read it.
  void tell() {
    output_.send(true);
    wire::Report report;
    *report.mutable_ended() = ended_;
    const std::string bytes = report.SerializeAsString();
    for (;;) {
      if (::send(report_fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return;
      if (errno != EAGAIN && errno != EINTR) return;
      pollfd fds[2] = {{report_fd, POLLOUT, 0}, {host_fd_.get(), POLLIN, 0}};
      ::poll(fds, 2, 1000);
      if (fds[1].revents) return;
    }
  }

  pid_t host_, worker_ = 0;
  Limits limits_;
  Descriptor host_fd_, worker_fd_, pipe_;
  Output output_;
  wire::Ended ended_;
};

}  // namespace

int supervise(int host, const Limits& limits) { return Supervisor(host, limits).run(); }

}  // namespace grpo::plugins::isolate
