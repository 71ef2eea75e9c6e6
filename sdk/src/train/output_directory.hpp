// output_directory.hpp: the directory a run writes into, claimed before anything is loaded and left as it was when the
// run is refused.
#ifndef GRPO_SRC_TRAIN_OUTPUT_DIRECTORY_HPP
#define GRPO_SRC_TRAIN_OUTPUT_DIRECTORY_HPP

#include <filesystem>
#include <vector>

namespace grpo::train {

class OutputDirectory {
 public:
  // Makes the directory if there is none, and locks it. Throws grpo::Error: it cannot be made or written, or another
  // process trains into it.
  explicit OutputDirectory(std::filesystem::path path);
  // Unless keep was called, the directories that the constructor made are removed again, as far as they are empty.
  ~OutputDirectory();
  OutputDirectory(const OutputDirectory&) = delete;
  OutputDirectory& operator=(const OutputDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // The run has begun: what it writes stays.
  void keep() { made_.clear(); }

 private:
  void make();
  void lock();
  void unmake() noexcept;

  std::filesystem::path path_;
  std::vector<std::filesystem::path> made_;  // the innermost last
  int lock_ = -1;
};

}  // namespace grpo::train

#endif
