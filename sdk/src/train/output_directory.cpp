#include "output_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "grpo/sdk/error.hpp"

namespace grpo::train {
namespace fs = std::filesystem;

OutputDirectory::OutputDirectory(fs::path path) : path_(std::move(path)) {
  try {
    make();
    lock();
  } catch (...) {
    unmake();
    throw;
  }
}

OutputDirectory::~OutputDirectory() { unmake(); }

void OutputDirectory::make() {
  std::error_code error;
  std::vector<fs::path> missing;  // the innermost first
  for (fs::path at = fs::absolute(path_, error).lexically_normal(); !error && !fs::exists(at, error);) {
    if (at.has_filename()) missing.push_back(at);
    if (at == at.parent_path()) break;
    at = at.parent_path();
  }
  for (auto at = missing.rbegin(); at != missing.rend(); ++at) {
    error.clear();
    if (fs::create_directory(*at, error)) made_.push_back(*at);
    if (error) break;
  }
  if (!fs::is_directory(path_)) {
    const std::string why = fs::exists(path_) ? "it is a file" : error.message();
    throw Error(path_.string() + ": this directory cannot be made: " + why + "; set another run.output_dir");
  }
  if (::access(path_.c_str(), W_OK | X_OK) != 0)
    throw Error(path_.string() + ": cannot be written into: " + std::strerror(errno) + "; set another run.output_dir");
}

// Two processes that write the same checkpoints would leave neither's.
void OutputDirectory::lock() {
  lock_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ >= 0 && ::flock(lock_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    throw Error(path_.string() + ": another process trains into this directory; set another run.output_dir");
}

void OutputDirectory::unmake() noexcept {
  std::error_code ignored;  // one that is not empty stays
  for (auto at = made_.rbegin(); at != made_.rend(); ++at) fs::remove(*at, ignored);
  made_.clear();
  if (lock_ >= 0) ::close(lock_);
  lock_ = -1;
}

}  // namespace grpo::train
