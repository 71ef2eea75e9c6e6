// Rewards that do what no reward should, each when a completion says so: "segv", "abort", ... Any other completion
// scores its length. What crash(name) does is chosen by the completion, so that one batch is lost and the next one is
// not.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <grpo/reward.hpp>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

GRPO_MANIFEST({"name": "hostile", "version": "1.0.0", "licence": "MIT", "components": [
  {"interface": "grpo.reward/1", "name": "hostile", "options": {
    "at_step": {"type": "integer", "default": 0, "description": "of this step the first sample is a crash, once"},
    "at_open": {"type": "string", "default": ""}, "at_close": {"type": "string", "default": ""},
    "hang_at_step": {"type": "integer", "default": 0, "description": "in this step the first sample never ends, once"},
    "marker": {"type": "string", "default": "", "description": "a file for what the test is to know"}}},
  {"interface": "grpo.reward/1", "name": "hostile_alone", "options": {}}]});

namespace {

void overrun() {
  volatile std::uintptr_t nowhere = 8;
  *reinterpret_cast<volatile int*>(nowhere) = 1;
}

// True once for all processes that name this file.
bool first_to_make(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}

[[noreturn]] void spin() {
  for (;;) asm volatile("");
}

// Asks for memory piece by piece and uses it.
void eat(std::size_t gib) {
  std::vector<std::unique_ptr<char[]>> pieces;
  for (std::size_t i = 0; i < gib * 8; ++i) {
    pieces.emplace_back(new char[std::size_t{128} << 20]);
    std::memset(pieces.back().get(), 1, std::size_t{128} << 20);
  }
}

// Children in sessions of their own, that nothing reaches but who knows them. Few, should nobody stop them.
std::string fork_bomb(int most) {
  int made = 0;
  for (; made < most; ++made) {
    const pid_t pid = ::fork();
    if (pid < 0) return "fork refused after " + std::to_string(made) + ": " + std::strerror(errno);
    if (pid == 0) {
      ::setsid();
      if (::fork() == 0) ::sleep(300);  // a grandchild whose parent is gone
      ::_exit(0);
    }
  }
  return {};
}

double deed(const grpo::sample& s, const std::string& what, const std::string& marker) {
  if (what == "segv") overrun();
  if (what == "abort") {
    std::fprintf(stderr, "the end is near\n");
    std::abort();
  }
  if (what == "exit") std::exit(7);
  if (what == "spin") spin();
  if (what == "until cancelled") {
    while (!s.cancelled()) ::usleep(1000);
    return -1;
  }
  if (what == "memory") eat(10);
  if (what == "malloc") std::memset(std::malloc(std::size_t{10} << 30), 1, 100);
  if (what == "close all") {
    for (int fd = 0; fd < 256; ++fd) ::close(fd);
    return 5;
  }
  if (what == "close all and stay") {
    for (int fd = 0; fd < 256; ++fd) ::close(fd);
    spin();
  }
  if (what == "flood") {
    const std::string line(200, 'f');
    for (int i = 0; i < 20000; ++i) std::printf("%s %d\n", line.c_str(), i);
    std::fflush(stdout);
    return 1;
  }
  if (what == "say") {
    std::printf("a line of its own\n");
    return 1;
  }
  if (what == "bomb") {
    const std::string refused = fork_bomb(40);
    if (!refused.empty()) throw std::runtime_error(refused);
    ::sleep(60);
  }
  if (what == "orphan") {
    // Says its own number, so that the test can see whether it is still there.
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::setsid();
      if (const pid_t inner = ::fork(); inner != 0) {
        const std::string number = std::to_string(inner);
        const int fd = ::open(marker.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        [[maybe_unused]] const ssize_t n = ::write(fd, number.data(), number.size());
        ::_exit(0);
      }
      ::sleep(300);
      ::_exit(0);
    }
    if (pid < 0) throw std::runtime_error("fork refused");
    int status = 0;
    ::waitpid(pid, &status, 0);
    std::abort();
  }
  if (what == "garbage") {
    const std::string noise(1000, '\xA5');
    for (int fd = 3; fd < 64; ++fd) ::send(fd, noise.data(), noise.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    ::sleep(60);
  }
  if (what == "shrink") {  // cut the shared memory short: the host would die of SIGBUS
    int done = 0;
    for (int fd = 3; fd < 64; ++fd) done += ::ftruncate(fd, 0) == 0;
    return done == 0 ? 1 : 0;
  }
  if (what == "kill the host") {  // and everybody else; the supervisor is the parent
    const bool refused = ::kill(::getppid(), SIGKILL) != 0 && ::kill(0, 0) != 0;
    return refused ? 1 : 0;
  }
  if (what == "more limits") {
    rlimit all{RLIM_INFINITY, RLIM_INFINITY};
    return ::setrlimit(RLIMIT_DATA, &all) != 0 ? 1 : 0;
  }
  if (what == "dies afterwards") {
    std::thread([] {
      ::usleep(20'000);
      std::abort();
    }).detach();
    return 1;
  }
  return static_cast<double>(what.size());
}

void at(const std::string& when) {
  if (when == "segv") overrun();
  if (when == "exit") std::exit(3);
  if (when == "spin") spin();
  if (when == "throw") throw std::runtime_error("the judge is out");
}

struct hostile {
  explicit hostile(grpo::options o)
      : at_step(o.integer("at_step", 0)),
        hang_at_step(o.integer("hang_at_step", 0)),
        at_close(o.text("at_close", "")),
        marker(o.text("marker", "")) {
    at(std::string(o.text("at_open", "")));
  }
  ~hostile() { at(at_close); }
  grpo::score operator()(const grpo::sample& s) const {
    s.component("seen", 1);
    if (at_step > 0 && s.step() == at_step && first_to_make(marker)) overrun();
    if (hang_at_step > 0 && s.step() == hang_at_step && first_to_make(marker))
      for (;;) pause();
    return deed(s, std::string(s.completion()), marker);
  }
  std::int64_t at_step, hang_at_step;
  std::string at_close, marker;
};

grpo_status open_alone(const grpo_call*, const grpo_options*, void** handle) {
  *handle = nullptr;
  return GRPO_STATUS_OK;
}
void close_alone(void*) {}
grpo_status score_alone(void*, const grpo_call*, const grpo_reward_batch* b, const grpo_reward_result* r) {
  for (std::int64_t i = 0; i < b->n_samples; ++i) r->score[i] = ::getpid();
  return GRPO_STATUS_OK;
}
const grpo_reward alone{sizeof(grpo_reward), 0, open_alone, close_alone, nullptr, score_alone};

const grpo_component components[] = {
    {sizeof(grpo_component), 0, GRPO_REWARD_ID, "hostile", &grpo::reward_table<hostile>::table},
    {sizeof(grpo_component), 0, GRPO_REWARD_ID, "hostile_alone", &alone}};
const grpo_component* const list[] = {&components[0], &components[1]};

}  // namespace

GRPO_PLUGIN(list);
