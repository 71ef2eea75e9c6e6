#include "find.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <grpo/author.hpp>
#include <vector>

namespace grpo_python {
namespace {

namespace fs = std::filesystem;

bool runs(const fs::path& file) {
  std::error_code e;
  return fs::is_regular_file(file, e) && ::access(file.c_str(), X_OK) == 0;
}

std::string of_environment(const fs::path& folder, const std::string& named_by) {
  for (const char* name : {"bin/python3", "bin/python"})
    if (runs(folder / name)) return folder / name;
  throw grpo::failure(GRPO_STATUS_INVALID, named_by + " names " + folder.string() +
                                               ", which holds no bin/python3: give the interpreter itself, or the "
                                               "folder of a virtual environment, with the option `python`");
}

}  // namespace

std::string find_python(const std::string& option) {
  if (!option.empty()) {
    std::error_code e;
    if (fs::is_directory(option, e)) return of_environment(option, "the option `python`");
    if (runs(option)) return option;
    throw grpo::failure(GRPO_STATUS_INVALID, "the option `python` names " + option +
                                                 ", which is no program: give a path, such as /usr/bin/python3, or the "
                                                 "folder of a virtual environment");
  }
  if (const char* folder = std::getenv("VIRTUAL_ENV"); folder && *folder) return of_environment(folder, "VIRTUAL_ENV");
  const char* path = std::getenv("PATH");
  std::string rest = path && *path ? path : "/usr/local/bin:/usr/bin:/bin";
  for (std::size_t from = 0, end; from <= rest.size(); from = end + 1) {
    end = std::min(rest.find(':', from), rest.size());
    const fs::path folder = rest.substr(from, end - from);
    if (folder.is_absolute() && runs(folder / "python3")) return folder / "python3";
  }
  throw grpo::failure(GRPO_STATUS_INVALID, "no python3 in PATH (" + rest +
                                               "): install Python 3.9 or later, or name one with the option `python`");
}

}  // namespace grpo_python
