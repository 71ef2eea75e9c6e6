#include "interrupt.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

namespace grpo::host {
namespace {

std::atomic<int> first_signal{0};
const char* what_happens = "";
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler writes it");

constexpr int caught[] = {SIGINT, SIGTERM};

// Only what is allowed in a handler.
void on_signal(int number) {
  const int saved = errno;
  first_signal.store(number);
  for (const int s : caught)
    if (struct sigaction now; sigaction(s, nullptr, &now) == 0 && now.sa_handler == on_signal) signal(s, SIG_DFL);
  for (const char* text : {"\ngrpo-host: ", what_happens, "; a second signal ends at once\n"})
    if (::write(STDERR_FILENO, text, std::strlen(text)) < 0) break;
  errno = saved;
}

}  // namespace

void catch_interrupts(const char* happens) {
  what_happens = happens;
  for (const int s : caught) {
    struct sigaction old {};
    if (sigaction(s, nullptr, &old) != 0 || old.sa_handler == SIG_IGN) continue;
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(s, &action, nullptr);
  }
}

int interrupted() { return first_signal.load(); }

}  // namespace grpo::host
