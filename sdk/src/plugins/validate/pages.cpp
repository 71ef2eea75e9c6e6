#include "pages.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <new>

namespace grpo::plugins::conformance {
namespace {

constexpr unsigned char pattern = 0xC3;
constexpr std::size_t longest_label = 160;

// What the signal handler looks at: no locks, no allocation.
struct Known {
  std::atomic<std::uintptr_t> begin{0}, end{0};  // with the page behind
  const char* rule = "";                         // what an access to the block itself breaks
  char label[longest_label] = {};                // what it holds; ready to be put into JSON
};
std::array<Known, 4096> known;
std::atomic<std::size_t> hint{0};

std::size_t page() {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

int claim(std::uintptr_t begin, std::uintptr_t end) {
  const std::size_t from = hint.load();
  for (std::size_t i = 0; i < known.size(); ++i) {
    Known& k = known[(from + i) % known.size()];
    std::uintptr_t free = 0;
    if (!k.end.compare_exchange_strong(free, end)) continue;
    k.begin = begin;
    hint = (from + i + 1) % known.size();
    return static_cast<int>((from + i) % known.size());
  }
  return -1;  // without a label: the fault is one all the same
}

void put(const char* text) { [[maybe_unused]] const ssize_t n = ::write(3, text, std::strlen(text)); }

std::uintptr_t stack_of(const void* context) {
  const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<std::uintptr_t>(machine.gregs[REG_RSP]);
#elif defined(__aarch64__)
  return static_cast<std::uintptr_t>(machine.sp);
#else
  (void)machine;
  return 0;
#endif
}

void on_fault(int number, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  constexpr std::uintptr_t near = 64 * 1024;
  if (const auto stack = stack_of(context); stack != 0 && address + near > stack && address < stack + near)
    put("{\"fault\":\"overflowed its stack\"}\n");
  for (Known& k : known) {
    if (address < k.begin || address >= k.end || k.end == 0) continue;
    put("{\"fault\":\"");
    put(address >= k.end - page() ? "touched memory past the end of " : k.rule);
    put(k.label);
    put("\"}\n");
    break;
  }
  ::signal(number, SIG_DFL);
  ::raise(number);
}

}  // namespace

namespace {

// What is gone keeps its addresses for a while: otherwise the next block would lie there, and whoever kept a pointer
// would find memory that works.
struct Grave {
  char* map = nullptr;
  std::size_t size = 0;
  int slot = -1;
};
constexpr std::size_t graves = 1024;

void bury(const Grave& dead) {
  static std::mutex mutex;
  static auto* const yard = new std::array<Grave, graves>;
  static std::size_t next = 0;
  std::lock_guard lock(mutex);
  Grave& place = (*yard)[next++ % graves];
  if (place.map) {
    if (place.slot >= 0) {
      known[static_cast<std::size_t>(place.slot)].begin = 0;
      known[static_cast<std::size_t>(place.slot)].end = 0;
    }
    ::munmap(place.map, place.size);
  }
  place = dead;
}

}  // namespace

Pages::Pages(std::size_t bytes, std::string what) : what_(std::move(what)), bytes_(bytes) {
  const std::size_t body = (bytes + page()) / page() * page();  // at least a byte of pattern before the data
  mapped_ = body + page();
  void* at = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  map_ = static_cast<char*>(at);
  ::mprotect(map_ + body, page(), PROT_NONE);
  std::memset(map_, pattern, body - bytes);
  data_ = map_ + body - bytes;
  slot_ = claim(reinterpret_cast<std::uintptr_t>(map_), reinterpret_cast<std::uintptr_t>(map_) + mapped_);
  if (slot_ < 0) return;
  char* label = known[static_cast<std::size_t>(slot_)].label;
  std::strncpy(label, what_.c_str(), longest_label - 1);
  for (char* c = label; *c; ++c)
    if (*c == '"' || *c == '\\' || static_cast<unsigned char>(*c) < 32) *c = '\'';
}

Pages::Pages(Pages&& other) noexcept
    : what_(std::move(other.what_)),
      map_(other.map_),
      mapped_(other.mapped_),
      bytes_(other.bytes_),
      data_(other.data_),
      slot_(other.slot_) {
  other.map_ = nullptr;
}

Pages::~Pages() {
  if (!map_) return;
  inaccessible();
  ::madvise(map_, mapped_, MADV_DONTNEED);
  bury({map_, mapped_, slot_});
}

void Pages::rule(const char* text) {
  if (slot_ >= 0) known[static_cast<std::size_t>(slot_)].rule = text;
}

void Pages::read_only() {
  rule("wrote into ");
  ::mprotect(map_, mapped_ - page(), PROT_READ);
}

void Pages::inaccessible() {
  rule("used what it was given for an earlier call, ");
  ::mprotect(map_, mapped_ - page(), PROT_NONE);
}

bool Pages::intact() const {
  for (const char* p = map_; p < data_; ++p)
    if (static_cast<unsigned char>(*p) != pattern) return false;
  return true;
}

void install_fault_handler() {
  for (Known& k : known) k.begin = 0;  // its pages are taken now, and no check mistakes them for growth
  page();
  static char stack[64 * 1024];  // a plugin that overruns its stack faults, too
  stack_t other{};
  other.ss_sp = stack;
  other.ss_size = sizeof stack;
  ::sigaltstack(&other, nullptr);
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (const int number : {SIGSEGV, SIGBUS}) ::sigaction(number, &action, nullptr);
}

}  // namespace grpo::plugins::conformance
