#include "helper.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "grpo/sdk/error.hpp"

extern char** environ;

namespace grpo::plugins {
namespace {

std::filesystem::path folder_of_this_code() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&find_helper), &info) == 0 || !info.dli_fname) return {};
  std::error_code ignored;
  return std::filesystem::weakly_canonical(info.dli_fname, ignored).parent_path();
}

}  // namespace

std::string find_helper(const std::string& name, const std::string& given, const std::string& what_for) {
  if (!given.empty()) return given;
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  std::string looked;
  for (const auto& folder : {program, folder_of_this_code()}) {
    for (const char* below : {".", "grpo", "../libexec/grpo", "../bin", "bin"}) {
      const auto candidate = (folder / below / name).lexically_normal();
      if (::access(candidate.c_str(), X_OK) == 0) return candidate.string();
      looked += (looked.empty() ? "" : ", ") + candidate.string();
    }
  }
  throw Error("the helper " + name + ", which " + what_for + ", is not there; looked for " + looked);
}

Pipe::Pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Error(std::string("cannot make a pipe: ") + std::strerror(errno));
  out = ends[0];
  in = ends[1];
}

Pipe::~Pipe() {
  ::close(out);
  close_in();
}

void Pipe::close_in() {
  if (in >= 0) ::close(in);
  in = -1;
}

Start::Start(std::vector<std::string> words) : words_(std::move(words)), file_(words_.at(0)) {
  posix_spawn_file_actions_init(&actions_);
  posix_spawnattr_init(&attributes_);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes_, &none);
  flag(POSIX_SPAWN_SETSIGMASK);
}

Start::~Start() {
  posix_spawn_file_actions_destroy(&actions_);
  posix_spawnattr_destroy(&attributes_);
}

Start& Start::open(int fd, const char* path, int flags, mode_t mode) {
  posix_spawn_file_actions_addopen(&actions_, fd, path, flags, mode);
  return *this;
}

Start& Start::give(int fd, int as) {
  posix_spawn_file_actions_adddup2(&actions_, fd, as);
  return *this;
}

Start& Start::close_from(int fd) {
  posix_spawn_file_actions_addclosefrom_np(&actions_, fd);
  return *this;
}

Start& Start::default_signals() {
  sigset_t all;
  sigfillset(&all);
  posix_spawnattr_setsigdefault(&attributes_, &all);
  return flag(POSIX_SPAWN_SETSIGDEF);
}

Start& Start::own_group() {
  posix_spawnattr_setpgroup(&attributes_, 0);
  return flag(POSIX_SPAWN_SETPGROUP);
}

Start& Start::own_session() { return flag(POSIX_SPAWN_SETSID); }

Start& Start::from(std::string file) {
  file_ = std::move(file);
  return *this;
}

pid_t Start::run() {
  std::vector<char*> words;
  for (std::string& word : words_) words.push_back(word.data());
  words.push_back(nullptr);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, file_.c_str(), &actions_, &attributes_, words.data(), environ);
  if (error != 0) throw Error("cannot start " + words_[0] + ": " + std::strerror(error));
  return pid;
}

Start& Start::flag(short flag) {
  short flags = 0;
  posix_spawnattr_getflags(&attributes_, &flags);
  posix_spawnattr_setflags(&attributes_, static_cast<short>(flags | flag));
  return *this;
}

}  // namespace grpo::plugins
