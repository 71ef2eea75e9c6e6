// support.hpp: grpo-host as a user runs it: a process, its output, its exit status, in a directory of its own.
#ifndef GRPO_TESTS_E2E_SUPPORT_HPP
#define GRPO_TESTS_E2E_SUPPORT_HPP

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace e2e {

struct Result {
  int status = 0;  // exit status; 128 + signal if it was killed
  std::string out, err;
};

// Runs a shell command line in `directory`.
Result shell(const std::string& command, const std::filesystem::path& directory, const std::string& input = "");
// Runs grpo-host of this build with its plugins.
Result host(const std::string& arguments, const std::filesystem::path& directory, const std::string& input = "");

// A directory that goes away with the object.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

void write(const std::filesystem::path& path, const std::string& text);
std::string read(const std::filesystem::path& path);
std::vector<nlohmann::json> read_jsonl(const std::filesystem::path& path);
std::vector<nlohmann::json> lines(const std::string& text);

// The demo's tiny model without weights (init: random makes them), in directory/model.
void make_model(const std::filesystem::path& directory);
// n additions as directory/data.jsonl: prompt, answer, and the solution to imitate.
void make_data(const std::filesystem::path& directory, int n);
// A configuration that trains that model on that data in a second: directory/run.yaml, output in directory/out.
void make_run(const std::filesystem::path& directory);

}  // namespace e2e

#endif
