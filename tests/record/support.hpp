// support.hpp: recordings of fake plugins in a folder that goes away.
#ifndef GRPO_TESTS_RECORD_SUPPORT_HPP
#define GRPO_TESTS_RECORD_SUPPORT_HPP

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "fakes.hpp"
#include "grpo/sdk/plugins/recorded.hpp"
#include "grpo/sdk/plugins/replay.hpp"

namespace grpo::plugins {

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "grpo-record-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline std::string bytes_of(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void write(const std::string& file, const std::string& bytes) { std::ofstream(file, std::ios::binary) << bytes; }

inline std::string join(const std::vector<std::string>& lines) {
  std::string out;
  for (const auto& line : lines) out += line + "\n";
  return out;
}

}  // namespace grpo::plugins

#endif
