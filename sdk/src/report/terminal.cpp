#include "terminal.hpp"

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>

namespace grpo::report::terminal {
namespace {

struct State {
  std::mutex mutex;
  std::string bar;  // as it is drawn; empty: none
};

// Never destroyed: threads may still log while the process ends.
State& state() {
  static State* const one = new State;
  return *one;
}

void put(std::FILE* stream, std::string_view text) {
  if (!text.empty()) std::fwrite(text.data(), 1, text.size(), stream);  // an empty view may point nowhere
  std::fflush(stream);
}

void wipe(const State& s) {
  if (s.bar.empty()) return;
  if (takes_escapes(STDOUT_FILENO)) return put(stdout, "\r\x1b[2K");
  put(stdout, "\r");
  put(stdout, std::string(s.bar.size(), ' '));
  put(stdout, "\r");
}

// Whether what is written to the one shows among what is written to the other.
bool same_place(int one, int other) {
  struct stat a {
  }, b{};
  return ::fstat(one, &a) == 0 && ::fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

}  // namespace

bool takes_escapes(int descriptor) {
  const char* kind = std::getenv("TERM");
  return ::isatty(descriptor) == 1 && kind && *kind && std::string_view(kind) != "dumb";
}

bool takes_colors(int descriptor) {
  const char* off = std::getenv("NO_COLOR");
  return takes_escapes(descriptor) && !(off && *off);
}

int columns() {
  if (::isatty(STDOUT_FILENO) != 1) return 0;
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void print(std::string_view text) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  wipe(s);
  s.bar.clear();
  put(stdout, text);
}

void print_error(std::string_view text) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  const bool around_bar = !s.bar.empty() && same_place(STDOUT_FILENO, STDERR_FILENO);
  if (around_bar) wipe(s);
  put(stderr, text);
  if (around_bar) put(stdout, s.bar);
}

void draw_bar(std::string_view text) {
  State& s = state();
  const std::lock_guard lock(s.mutex);
  wipe(s);
  s.bar = text;
  put(stdout, s.bar);
}

void clear_bar() { print({}); }

}  // namespace grpo::report::terminal
