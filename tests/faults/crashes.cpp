// A reward that brings its process down, in the way that its option `how` names.
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#include <grpo/reward.hpp>

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>

GRPO_MANIFEST({"name": "crashes", "version": "1.0.0", "licence": "MIT", "components": [
  {"interface": "grpo.reward/1", "name": "crashes", "options": {
    "how": {"type": "string", "default": "none", "description": "none, null, library, divide, trap, bus, abort, throw, overflow, thread, elsewhere, exit, exit_thread, open"}}}]});

namespace {

#define UNCHECKED __attribute__((no_sanitize("undefined"), no_sanitize("address"), noinline))

UNCHECKED void write_to(volatile int* nowhere) { *nowhere = 1; }
UNCHECKED int divided_by(const volatile int& by) { return by / by; }
volatile bool never = false;
void* volatile nowhere = nullptr;
volatile int zero = 0;
UNCHECKED void fill_nowhere() {
  std::memset(nowhere, 1, 1 << 20);
  if (never) write_to(nullptr);  // and so memset returns here: not a jump
}
UNCHECKED std::size_t deeper(volatile char* before) {
  volatile char room[4096];
  if (never) return 0;
  room[0] = before ? before[0] : '\0';
  return deeper(room) + static_cast<std::size_t>(room[0]);  // it is used after, so it is no tail call
}

struct crashes {
  std::string how;
  explicit crashes(grpo::options o) : how(o.text("how", "none")) {
    if (how == "open") write_to(nullptr);
  }
  grpo::score operator()(const grpo::sample&) const {
    if (how == "null") write_to(nullptr);
    if (how == "library") fill_nowhere();
    if (how == "divide") return divided_by(zero);
    if (how == "trap" && !never) __builtin_trap();
    if (how == "bus") {  // beyond the end of a mapped file
      const int file = memfd_create("empty", 0);
      static_cast<volatile char*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0))[0] = 1;
    }
    if (how == "abort") std::abort();
    if (how == "throw") std::thread([] { throw std::runtime_error("nobody catches this"); }).join();
    if (how == "exit") std::exit(0);
    if (how == "exit_thread") std::thread([] { std::exit(3); }).join();
    if (how == "overflow") return static_cast<double>(deeper(nullptr));
    if (how == "thread") std::thread([] { write_to(nullptr); }).join();
    if (how == "elsewhere") {
      std::thread(fill_nowhere).join();
    }
    return 1;
  }
};

}  // namespace

GRPO_REWARD(crashes, "crashes");
