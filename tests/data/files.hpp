// files.hpp: helpers of these tests.
#ifndef GRPO_TESTS_DATA_FILES_HPP
#define GRPO_TESTS_DATA_FILES_HPP

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <grpo/sdk/data/dataset.hpp>
#include <grpo/sdk/error.hpp>
#include <nlohmann/json.hpp>
#include <string>

// A file that is there as long as this object.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text, const std::string& name = "rows.jsonl") {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(testing::TempDir()) / (std::string(test->test_suite_name()) + "." + test->name());
    std::filesystem::create_directories(folder_);
    path = folder_ / name;
    std::ofstream(path, std::ios::binary) << text;
  }
  ~TemporaryFile() { std::filesystem::remove_all(folder_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  std::filesystem::path path;

 private:
  std::filesystem::path folder_;
};

// What opening a file with this text says, from the file's name on; "" when it opens.
inline std::string open_error(const std::string& text, const grpo::data::OpenOptions& options = {},
                              const std::string& name = "rows.jsonl") {
  const TemporaryFile file(text, name);
  try {
    grpo::data::Dataset::open(file.path, options);
  } catch (const grpo::Error& error) {
    const std::string what = error.what();
    return what.substr(what.find(name));
  }
  return "";
}

// The message of the grpo::Error that `run` ends in, or "".
template <class Run>
std::string error_of(Run&& run) {
  try {
    run();
  } catch (const grpo::Error& error) {
    return error.what();
  }
  return "";
}

#endif
