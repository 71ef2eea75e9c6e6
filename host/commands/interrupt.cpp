#include "interrupt.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string_view>

namespace grpo::host {
namespace {

std::atomic<int> first_signal{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler writes it");

constexpr int caught[] = {SIGINT, SIGTERM};

// Only what is allowed in a handler.
void on_signal(int number) {
  const int saved = errno;
  first_signal.store(number);
  for (const int s : caught)
    if (struct sigaction now; sigaction(s, nullptr, &now) == 0 && now.sa_handler == on_signal) signal(s, SIG_DFL);
  constexpr std::string_view text =
      "\ngrpo-host: finishing the running step, then a checkpoint; a second signal ends at once\n";
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) {
  }
  errno = saved;
}

}  // namespace

void catch_interrupts() {
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
