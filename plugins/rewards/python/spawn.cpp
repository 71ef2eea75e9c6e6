#include "spawn.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <grpo/author.hpp>
#include <string_view>

extern char** environ;

namespace grpo_python {
namespace {

constexpr std::string_view driver =
#include "driver.inc"
    ;

// It parses in every Python, so that an old one can say what it is.
constexpr const char* bootstrap =
    "import sys\n"
    "if sys.version_info < (3, 9):\n"
    "    sys.stderr.write('%s is Python %s, and 3.9 or later is needed; the option `python` names another\\n'\n"
    "                     % (sys.executable, sys.version.split()[0]))\n"
    "    sys.exit(78)\n"
    "import os\n"
    "source = os.pread(5, 1 << 20, 0)\n"
    "os.close(5)\n"
    "exec(compile(source, '<grpo python driver>', 'exec'))\n";

[[noreturn]] void fail(const char* what) {
  throw grpo::failure(std::string("cannot ") + what + ": " + std::strerror(errno));
}

// High enough that none lies where the child wants another, and not inherited by anybody else.
Descriptor high(int fd) {
  const int out = ::fcntl(fd, F_DUPFD_CLOEXEC, 10);
  ::close(fd);
  if (out < 0) fail("make a descriptor");
  return Descriptor(out);
}

// Both ends; of a pipe the first reads.
void pair_of(bool socket, Descriptor& first, Descriptor& second) {
  int ends[2];
  if ((socket ? ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) : ::pipe2(ends, O_CLOEXEC)) != 0)
    fail("make a pipe");
  first = high(ends[0]);
  second = high(ends[1]);
}

Descriptor driver_file() {
  const int fd = ::memfd_create("grpo-python-driver", MFD_CLOEXEC);
  if (fd < 0) fail("make a file in memory");
  Descriptor out = high(fd);
  if (::write(out.get(), driver.data(), driver.size()) != static_cast<ssize_t>(driver.size()))
    fail("write a file in memory");
  return out;
}

struct Actions {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  Actions() {
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawnattr_init(&attributes);
  }
  Actions(const Actions&) = delete;
  ~Actions() {
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&attributes);
  }
};

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.fd_;
    other.fd_ = -1;
  }
  return *this;
}

void Descriptor::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Process spawn(const std::string& python) {
  Process p;
  Descriptor socket, output, lifeline;
  pair_of(true, p.socket, socket);
  pair_of(false, p.output, output);
  pair_of(false, lifeline, p.lifeline);
  const Descriptor source = driver_file();
  for (const int fd : {p.socket.get(), p.output.get()}) ::fcntl(fd, F_SETFL, O_NONBLOCK);

  Actions a;
  ::posix_spawn_file_actions_addopen(&a.files, 0, "/dev/null", O_RDONLY, 0);
  const int wanted[][2] = {
      {output.get(), 1}, {output.get(), 2}, {socket.get(), 3}, {lifeline.get(), 4}, {source.get(), 5}};
  for (const auto& [from, to] : wanted) ::posix_spawn_file_actions_adddup2(&a.files, from, to);
  ::posix_spawn_file_actions_addclosefrom_np(&a.files, 6);
  // A group of its own: an interrupt from the terminal is the host's alone, and what the function starts ends with it.
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  ::posix_spawnattr_setpgroup(&a.attributes, 0);
  ::posix_spawnattr_setsigmask(&a.attributes, &none);
  ::posix_spawnattr_setsigdefault(&a.attributes, &all);
  ::posix_spawnattr_setflags(&a.attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  const char* arguments[] = {python.c_str(), "-c", bootstrap, nullptr};
  errno = ::posix_spawn(&p.pid, python.c_str(), &a.files, &a.attributes, const_cast<char**>(arguments), environ);
  if (errno != 0) {
    if (errno == EAGAIN || errno == EPERM)
      throw grpo::failure("cannot start " + python + ": " + std::strerror(errno) +
                          " (with `isolate: true` it needs `processes`; it has processes of its own already)");
    fail(("start " + python).c_str());
  }
  p.pidfd = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, p.pid, 0)));
  return p;
}

}  // namespace grpo_python
