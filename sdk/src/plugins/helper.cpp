#include "helper.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "grpo/sdk/error.hpp"

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

}  // namespace grpo::plugins
