#include "fault.hpp"

#include <signal.h>
#include <sys/mman.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <mutex>

#include "scratch.hpp"

namespace grpo::plugins::check {
namespace {

struct Entry {
  std::atomic<char*> base{nullptr};  // nullptr: free
  std::atomic<std::size_t> size{0};
  std::atomic<bool> away{false};
  std::atomic<std::atomic<bool>*> touched{nullptr};
};

constexpr std::size_t most = 8192;
std::array<Entry, most> entries;
std::atomic<std::size_t> used{0};  // places beyond were never taken
std::mutex mutex;                  // of watch and forget
struct sigaction before;

// The pages are given back, full of poison; the instruction that faulted runs again and reads that.
void on_fault(int signal, siginfo_t* info, void* context) {
  const auto* at = static_cast<const char*>(info->si_addr);
  const std::size_t n = used.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < n; ++i) {
    Entry& e = entries[i];
    char* base = e.base.load(std::memory_order_acquire);
    const std::size_t size = e.size.load(std::memory_order_relaxed);
    if (!base || at < base || at >= base + size) continue;
    if (e.away.exchange(false)) {
      if (mprotect(base, size, PROT_READ | PROT_WRITE) != 0) break;
      std::memset(base, poison, size);
      if (auto* touched = e.touched.load()) touched->store(true, std::memory_order_relaxed);
    }
    return;  // also when another thread, or begin, was faster
  }
  if (before.sa_flags & SA_SIGINFO) return before.sa_sigaction(signal, info, context);
  if (before.sa_handler == SIG_IGN || before.sa_handler == SIG_DFL) {
    sigaction(signal, &before, nullptr);  // the instruction faults again, now without us
    return;
  }
  before.sa_handler(signal);
}

}  // namespace

void Fault::install() {
  static const bool once = [] {
    struct sigaction ours {};
    ours.sa_sigaction = on_fault;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigemptyset(&ours.sa_mask);
    sigaction(SIGSEGV, &ours, &before);
    return true;
  }();
  (void)once;
}

std::size_t Fault::watch(void* base, std::size_t size, std::atomic<bool>* touched) {
  std::lock_guard lock(mutex);
  const std::size_t n = used.load(std::memory_order_relaxed);
  std::size_t at = 0;
  while (at < n && entries[at].base.load(std::memory_order_relaxed)) ++at;
  if (at == most) return none;
  entries[at].size.store(size);
  entries[at].away.store(false);
  entries[at].touched.store(touched);
  entries[at].base.store(static_cast<char*>(base), std::memory_order_release);
  if (at == n) used.store(n + 1, std::memory_order_release);
  return at;
}

void Fault::forget(std::size_t entry) {
  if (entry == none) return;
  std::lock_guard lock(mutex);
  entries[entry].base.store(nullptr, std::memory_order_release);
  entries[entry].touched.store(nullptr);
}

void Fault::take_away(std::size_t entry) {
  if (entry == none) return;
  Entry& e = entries[entry];
  e.away.store(true);
  mprotect(e.base.load(), e.size.load(), PROT_NONE);
}

void Fault::give_back(std::size_t entry) {
  if (entry == none) return;
  Entry& e = entries[entry];
  if (e.away.exchange(false)) mprotect(e.base.load(), e.size.load(), PROT_READ | PROT_WRITE);
}

}  // namespace grpo::plugins::check
