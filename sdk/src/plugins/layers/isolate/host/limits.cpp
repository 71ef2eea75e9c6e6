#include "limits.hpp"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

namespace grpo::plugins::isolate {
namespace {

void limit(int what, rlim_t most) {
  rlimit now{};
  ::getrlimit(static_cast<__rlimit_resource_t>(what), &now);
  if (now.rlim_max != RLIM_INFINITY && now.rlim_max < most) most = now.rlim_max;
  const rlimit wanted{most, most};
  ::setrlimit(static_cast<__rlimit_resource_t>(what), &wanted);
}

// Threads of this user in the whole system: what RLIMIT_NPROC counts.
rlim_t threads_of_user() {
  rlim_t n = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename().string();
    struct stat st {};
    if (!std::isdigit(static_cast<unsigned char>(name[0])) || ::stat(entry.path().c_str(), &st) != 0) continue;
    if (st.st_uid == ::getuid() && st.st_nlink > 0) {
      if (FILE* file = std::fopen((entry.path() / "stat").c_str(), "re")) {
        char line[1024] = {};
        const std::size_t got = std::fread(line, 1, sizeof line - 1, file);
        std::fclose(file);
        const char* at = got ? std::strrchr(line, ')') : nullptr;  // the name before it may hold anything
        long threads = 1;
        if (at)
          std::sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld", &threads);
        n += static_cast<rlim_t>(threads);
      }
    }
  }
  return n;
}

#if defined(__x86_64__)
constexpr std::uint32_t this_architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t this_architecture = AUDIT_ARCH_AARCH64;
#else
constexpr std::uint32_t this_architecture = 0;
#endif

// A filter of system calls, made front to back; every rule is a few instructions that end in a verdict or fall through.
class Filter {
 public:
  Filter() {
    load(offsetof(seccomp_data, arch));
    unless_equal(this_architecture, 1);
    jump_over(1);
    verdict(EPERM);
    load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
    add(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);  // the x32 names of the same calls
    verdict(EPERM);
#endif
  }
  void refuse(long call, int error) {
    unless_equal(static_cast<std::uint32_t>(call), 1);
    verdict(error);
  }
  // Refused unless the first argument is `value`.
  void only_for(long call, std::uint32_t value, int error) {
    unless_equal(static_cast<std::uint32_t>(call), 4);
    load(offsetof(seccomp_data, args[0]));
    add(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0);
    verdict(error);
    allow();
  }
  // Refused unless the argument has this bit.
  void only_with(long call, std::uint32_t bit, int error) {
    unless_equal(static_cast<std::uint32_t>(call), 4);
    load(offsetof(seccomp_data, args[0]));
    add(BPF_JMP | BPF_JSET | BPF_K, bit, 1, 0);
    verdict(error);
    allow();
  }
  // Refused when the third argument, a pointer, is given.
  void only_without_third(long call, int error) {
    unless_equal(static_cast<std::uint32_t>(call), 6);
    load(offsetof(seccomp_data, args[2]));
    add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2);
    load(offsetof(seccomp_data, args[2]) + 4);
    add(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0);
    verdict(error);
    allow();
  }
  bool install() {
    allow();
    sock_fprog program{static_cast<unsigned short>(code_.size()), code_.data()};
    return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
  }

 private:
  void add(int what, std::uint32_t value, int yes, int no) {
    code_.push_back(sock_filter{static_cast<std::uint16_t>(what), static_cast<std::uint8_t>(yes),
                                static_cast<std::uint8_t>(no), value});
  }
  void load(std::size_t at) { add(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(at), 0, 0); }
  void unless_equal(std::uint32_t value, int skip) { add(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip); }
  void jump_over(std::uint32_t n) { add(BPF_JMP | BPF_JA, n, 0, 0); }
  void verdict(int error) { add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error), 0, 0); }
  void allow() { add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0); }
  std::vector<sock_filter> code_;
};

bool filter_calls(bool may_start_processes) {
  Filter filter;
  for (const long call : {SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_setrlimit})
    filter.refuse(call, EPERM);
  filter.only_without_third(SYS_prlimit64, EPERM);
  if (!may_start_processes) {
    // Signals reach this process alone: kill(-1) and kill(host) would end more than the plugin.
    const auto self = static_cast<std::uint32_t>(::getpid());
    for (const long call : {SYS_kill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo})
      filter.only_for(call, self, EPERM);
    for (const long call : {SYS_tkill, SYS_pidfd_send_signal}) filter.refuse(call, EPERM);
    filter.only_with(SYS_clone, CLONE_THREAD, EAGAIN);  // threads pass
    filter.refuse(SYS_clone3, ENOSYS);                  // its flags lie in memory; callers fall back to clone
#ifdef SYS_fork
    filter.refuse(SYS_fork, EAGAIN);
    filter.refuse(SYS_vfork, EAGAIN);
#endif
  }
  return filter.install();
}

// The system's own choice of a victim, should memory run out.
void be_the_first_to_go() {
  const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  [[maybe_unused]] const ssize_t written = ::write(fd, "1000", 4);
  ::close(fd);
}

}  // namespace

std::string restrict_this_process(const Limits& limits) {
  std::string missing;
  const auto lacks = [&missing](const char* what) { missing += (missing.empty() ? "" : ", ") + std::string(what); };
  be_the_first_to_go();
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_NOFILE, 1024);
  limit(RLIMIT_FSIZE, rlim_t{4} << 30);
  limit(RLIMIT_NPROC, threads_of_user() + static_cast<rlim_t>(limits.processes) + 512);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // whose shadow is larger than any limit
  if (limits.memory > 0) limit(RLIMIT_DATA, static_cast<rlim_t>(limits.memory));
#endif
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) lacks("no_new_privs");
  if (this_architecture == 0 || !filter_calls(limits.processes > 0)) lacks("seccomp");
  return missing;
}

}  // namespace grpo::plugins::isolate
