#include "grpo/sdk/plugins/crash.hpp"

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "running.hpp"

namespace grpo::plugins {

constinit thread_local RunningCall running_call;

namespace {

constexpr std::array signals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
constexpr std::size_t stack_bytes = 64 * 1024;

// All of it is read by the handler, which may neither lock nor allocate.
struct Code {
  const char* path = nullptr;
  std::uintptr_t begin = 0, end = 0;
};
std::array<Code, 512> codes;
std::atomic<std::size_t> n_codes{0};
std::array<std::atomic<const RunningCall*>, 256> threads{};

std::atomic<bool> installed{false};
std::array<struct sigaction, signals.size()> before{};
char program[64] = "grpo", log_file[4096] = "";
std::atomic<int> teller{0};  // 0: nobody, 1: writes, 2: has written

// ---- only what is allowed in a handler, from here ----

class Words {
 public:
  Words& operator<<(const char* text) {
    for (; text && *text; ++text) {
      if (n_ == sizeof text_) send();
      text_[n_++] = static_cast<unsigned char>(*text) < ' ' && *text != '\n' ? '?' : *text;
    }
    return *this;
  }
  Words& number(std::uint64_t value, unsigned base) {
    char digits[24];
    std::size_t at = sizeof digits;
    digits[--at] = '\0';
    do digits[--at] = "0123456789abcdef"[value % base];
    while ((value /= base) != 0);
    return *this << (digits + at);
  }
  // As far as it is written: the next words may not be reached.
  void send() {
    for (const int to : {STDERR_FILENO, log_}) {
      for (std::size_t sent = 0; to >= 0 && sent < n_;) {
        const auto wrote = ::write(to, text_ + sent, n_ - sent);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) break;
        sent += static_cast<std::size_t>(wrote);
      }
    }
    n_ = 0;
  }
  Words() {
    if (*log_file) log_ = ::open(log_file, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (::isatty(STDOUT_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1) *this << "\n";  // below a bar
  }
  ~Words() {
    send();
    if (log_ >= 0) ::close(log_);
  }

 private:
  int log_ = -1;
  std::size_t n_ = 0;
  char text_[1024];
};

const char* name_of(int signal) {
  switch (signal) {
    case SIGSEGV:
      return "SIGSEGV";
    case SIGBUS:
      return "SIGBUS";
    case SIGFPE:
      return "SIGFPE";
    case SIGILL:
      return "SIGILL";
    default:
      return "SIGABRT";
  }
}

struct Where {
  std::uintptr_t instruction = 0, stack = 0;
};
Where where_of(const void* context) {
  const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return {static_cast<std::uintptr_t>(machine.gregs[REG_RIP]), static_cast<std::uintptr_t>(machine.gregs[REG_RSP])};
#elif defined(__aarch64__)
  return {static_cast<std::uintptr_t>(machine.pc), static_cast<std::uintptr_t>(machine.sp)};
#else
  (void)machine;
  return {};
#endif
}

const char* library_at(std::uintptr_t instruction) {
  const std::size_t n = n_codes.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < n; ++i)
    if (instruction >= codes[i].begin && instruction < codes[i].end) return codes[i].path;
  return nullptr;
}

// The first library of a plugin among the callers. The last resort: it reads the stack, which may be what is broken.
const char* library_among_callers() {
  void* frames[64];
  const int n = ::backtrace(frames, 64);
  for (int i = 0; i < n; ++i)
    if (const char* path = library_at(reinterpret_cast<std::uintptr_t>(frames[i]))) return path;
  return nullptr;
}

void put_reason(Words& out, int signal, const siginfo_t& info, const Where& where) {
  const auto address = reinterpret_cast<std::uintptr_t>(info.si_addr);
  constexpr std::uintptr_t near = 64 * 1024;
  if (info.si_code <= 0 && info.si_pid != ::getpid())
    (out << " (sent by process ").number(static_cast<std::uint64_t>(info.si_pid), 10) << ")";
  else if (signal == SIGABRT)
    out << " (abort: an assertion, or an exception that nobody caught)";
  else if (signal == SIGSEGV && info.si_code > 0 && info.si_code != SI_KERNEL && where.stack != 0 &&
           address + near > where.stack && address < where.stack + near)
    out << " (the stack overflowed)";
  else if (signal == SIGFPE && info.si_code == FPE_INTDIV)
    out << " (an integer was divided by zero)";
  else if (signal == SIGILL)
    out << " (an instruction that this processor does not have)";
  else if ((signal == SIGSEGV || signal == SIGBUS) && info.si_code > 0 && info.si_code != SI_KERNEL)
    (out << " (at address 0x").number(address, 16) << ")";
}

void put_call(Words& out, const Component& who, const char* function) {
  out << "plugin '" << who.manifest.name.c_str() << "' (" << who.path.c_str() << "): " << function;
}

void put_way_out(Words& out, const Component& who) {
  const char* id = who.manifest.interface_id.c_str();
  out << "  The way out: ";
  if (std::strcmp(id, "grpo.reward/1") == 0)
    out << "`isolate: true` beside the reward (score --isolate) runs it in a process of its own, and the run goes on.\n"
           "  To find the cause: ";
  else if (std::strcmp(id, "grpo.sampler/1") == 0)
    out << "`sampler.isolate: true` runs one with an engine of its own in a process of its own.\n"
           "  To find the cause: ";
  out << "--check-plugins names the rule that is broken; `grpo-host plugins validate " << who.path.c_str() << "`\n";
}

// The calls that run on other threads: one of them may have started the thread that crashed.
void put_others(Words& out) {
  const Component* first = nullptr;
  for (const auto& slot : threads) {
    const RunningCall* call = slot.load(std::memory_order_acquire);
    const Component* who = call ? call->component.load(std::memory_order_relaxed) : nullptr;
    const char* function = call ? call->function.load(std::memory_order_relaxed) : nullptr;
    if (!who || !function) continue;
    out << (first ? "; " : "  under way on other threads: ");
    put_call(out, *who, function);
    if (!first) first = who;
  }
  if (!first) return;
  out << "\n";
  put_way_out(out, *first);
}

void tell(int signal, const siginfo_t& info, const void* context) {
  Words out;
  const Where where = where_of(context);
  const Component* who = running_call.component.load(std::memory_order_relaxed);
  const char* function = running_call.function.load(std::memory_order_relaxed);
  const char* library = library_at(where.instruction);
  out << program << ": " << name_of(signal);
  put_reason(out, signal, info, where);
  if (who) {
    out << " in ";
    put_call(out, *who, function);
    out << "\n";
    if (library && who->path != library) out << "  the instruction lies in " << library << ", which it called\n";
    put_way_out(out, *who);
    return;
  }
  if (library) {
    out << " in " << library << ", on a thread of its own\n";
  } else {
    out << " on a thread that the host called no plugin on\n";
    out.send();
    if (const char* caller = library_among_callers()) out << "  it was called from " << caller << "\n";
  }
  out.send();
  put_others(out);
}

void on_crash(int signal, siginfo_t* info, void* context) {
  const int saved = errno;
  int nobody = 0;
  if (teller.compare_exchange_strong(nobody, 1)) {
    tell(signal, *info, context);
    teller.store(2);
  }
  // Another thread that crashes meanwhile must not end the process in the middle of the words.
  for (int i = 0; i < 200 && teller.load() == 1; ++i) {
    const timespec pause{0, 10'000'000};
    ::nanosleep(&pause, nullptr);
  }
  for (std::size_t i = 0; i < signals.size(); ++i)
    if (signals[i] == signal) ::sigaction(signal, &before[i], nullptr);
  // On return the instruction is run again, and its signal goes to who was there before, with all that belongs to it.
  // One that was sent does not come by itself a second time.
  if (info->si_code <= 0) ::raise(signal);
  errno = saved;
}

// ---- to here ----

bool a_call_is_under_way() {
  const auto runs = [](const RunningCall& call) { return call.component.load(std::memory_order_relaxed) != nullptr; };
  if (runs(running_call)) return true;
  for (const auto& slot : threads)
    if (const RunningCall* call = slot.load(std::memory_order_acquire); call && runs(*call)) return true;
  return false;
}

void tell_exit(int status) {
  Words out;
  out << program << ": exit(";
  if (status < 0) out << "-";
  out.number(static_cast<std::uint64_t>(std::abs(static_cast<long long>(status))), 10) << ")";
  if (const Component* who = running_call.component.load(std::memory_order_relaxed)) {
    out << " in ";
    put_call(out, *who, running_call.function.load(std::memory_order_relaxed));
    out << "\n";
    put_way_out(out, *who);
  } else {
    out << " on a thread that the host called no plugin on\n";
    put_others(out);
  }
}

// A plugin that calls exit must not look like a program that has done its work.
void on_exit_amid_calls(int status, void*) {
  if (!a_call_is_under_way()) return;
  tell_exit(status);
  std::cout.flush();
  std::fflush(nullptr);
  constexpr int seen_by_the_parent = 0xff;
  ::_exit((status & seen_by_the_parent) != 0 ? status : 1);
}

// What a thread has as long as it lives.
class Thread {
 public:
  Thread() {
    for (auto& slot : threads) {
      const RunningCall* none = nullptr;
      if (!slot.compare_exchange_strong(none, &running_call, std::memory_order_acq_rel)) continue;
      slot_ = &slot;
      break;
    }
    stack_t now{};
    if (::sigaltstack(nullptr, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0) return;  // it has one
    void* memory = ::mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    stack_t mine{};
    mine.ss_sp = memory;
    mine.ss_size = stack_bytes;
    if (::sigaltstack(&mine, nullptr) == 0)
      memory_ = memory;
    else
      ::munmap(memory, stack_bytes);
  }
  ~Thread() {
    if (slot_) slot_->store(nullptr, std::memory_order_release);
    if (!memory_) return;
    stack_t now{};
    if (::sigaltstack(nullptr, &now) != 0 || now.ss_sp != memory_) return;  // somebody else's took its place
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    if (::sigaltstack(&none, nullptr) == 0) ::munmap(memory_, stack_bytes);
  }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

 private:
  std::atomic<const RunningCall*>* slot_ = nullptr;
  void* memory_ = nullptr;
};

}  // namespace

void know_this_thread() noexcept {
  running_call.known = true;
  if (!installed.load(std::memory_order_acquire)) return;
  thread_local Thread thread;
}

void remember_code(const std::string& path, const void* inside) {
  static std::atomic_flag busy = ATOMIC_FLAG_INIT;
  Dl_info library{};
  if (::dladdr(inside, &library) == 0) return;
  Code code;
  code.begin = reinterpret_cast<std::uintptr_t>(library.dli_fbase);
  struct Search {
    std::uintptr_t base, end;
  } search{code.begin, 0};
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        auto& s = *static_cast<Search*>(data);
        std::uintptr_t begin = UINTPTR_MAX, end = 0;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& h = info->dlpi_phdr[i];
          if (h.p_type != PT_LOAD) continue;
          begin = std::min<std::uintptr_t>(begin, info->dlpi_addr + h.p_vaddr);
          end = std::max<std::uintptr_t>(end, info->dlpi_addr + h.p_vaddr + h.p_memsz);
        }
        if (s.base < begin || s.base >= end) return 0;
        s.end = end;
        return 1;
      },
      &search);
  code.end = search.end;
  code.path = ::strdup(path.c_str());  // as long as the process: a library is never unloaded
  while (busy.test_and_set(std::memory_order_acquire)) {
  }
  const std::size_t n = n_codes.load(std::memory_order_relaxed);
  if (n < codes.size() && code.path) {
    codes[n] = code;
    n_codes.store(n + 1, std::memory_order_release);
  }
  busy.clear(std::memory_order_release);
}

void name_crashes(const char* name) {
  std::strncpy(program, name, sizeof program - 1);
  void* frame = nullptr;
  ::backtrace(&frame, 1);  // loads what it needs, which a handler could not
  installed.store(true, std::memory_order_release);
  know_this_thread();
  ::on_exit(on_exit_amid_calls, nullptr);
  for (std::size_t i = 0; i < signals.size(); ++i) {
    struct sigaction action {};
    action.sa_sigaction = on_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    for (const int other : signals) sigaddset(&action.sa_mask, other);
    ::sigaction(signals[i], &action, &before[i]);
  }
}

void name_crashes_in(const std::filesystem::path& file) {
  const std::string text = file.empty() ? std::string() : std::filesystem::absolute(file).string();
  if (text.size() < sizeof log_file) std::memcpy(log_file, text.c_str(), text.size() + 1);
}

}  // namespace grpo::plugins
