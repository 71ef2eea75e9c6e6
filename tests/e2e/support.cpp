#include "support.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace e2e {
namespace fs = std::filesystem;

Result shell(const std::string& command, const fs::path& directory, const std::string& input) {
  static std::atomic<int> count{0};
  const std::string tag = std::to_string(getpid()) + "." + std::to_string(count++);
  const fs::path in = fs::temp_directory_path() / ("grpo-in." + tag),
                 out = fs::temp_directory_path() / ("grpo-out." + tag),
                 err = fs::temp_directory_path() / ("grpo-err." + tag);
  write(in, input);
  const std::string line = "cd '" + directory.string() + "' && ( " + command + " ) < '" + in.string() + "' > '" +
                           out.string() + "' 2> '" + err.string() + "'";
  const int status = std::system(line.c_str());
  Result result{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read(out), read(err)};
  for (const auto& file : {in, out, err}) fs::remove(file);
  return result;
}

Result host(const std::string& arguments, const fs::path& directory, const std::string& input) {
  return shell("'" GRPO_BINARY_DIR "/bin/grpo-host' " + arguments, directory, input);
}

Scratch::Scratch() {
  std::string pattern = (fs::temp_directory_path() / "grpo-e2e-XXXXXX").string();
  if (!mkdtemp(pattern.data())) throw std::runtime_error("no temporary directory");
  path_ = pattern;
}

Scratch::~Scratch() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void write(const fs::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out) throw std::runtime_error("cannot write " + path.string());
}

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<nlohmann::json> lines(const std::string& text) {
  std::vector<nlohmann::json> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) all.push_back(nlohmann::json::parse(line));
  return all;
}

std::vector<nlohmann::json> read_jsonl(const fs::path& path) { return lines(read(path)); }

void make_model(const fs::path& directory) {
  fs::create_directories(directory / "model");
  for (const char* name : {"config.json", "tokenizer.json", "tokenizer_config.json"})
    fs::copy_file(fs::path(GRPO_SOURCE_DIR) / "host/demo" / name, directory / "model" / name);
}

void make_data(const fs::path& directory, int n) {
  std::string text;
  for (int i = 0; i < n; ++i) {
    const int a = i * 37 % 100, b = i * 53 % 100;
    text += nlohmann::json{{"prompt", std::to_string(a) + "+" + std::to_string(b) + "="},
                           {"answer", std::to_string(a + b)},
                           {"solution", "\\boxed{" + std::to_string(a + b) + "}"}}
                .dump() +
            "\n";
  }
  write(directory / "data.jsonl", text);
}

void make_run(const fs::path& directory) {
  make_model(directory);
  make_data(directory, 64);
  write(directory / "run.yaml", R"(run: {output_dir: out, seed: 3, max_steps: 4, threads: 1}
data: {path: data.jsonl, raw_prompt: true}
model: {path: model, init: random}
sampler: {max_new_tokens: 6}
rewards: [{plugin: length, options: {form: short, minimum: 1, maximum: 6}}]
algorithm: {group_size: 4, prompts_per_step: 3}
optimizer: {learning_rate: 0.001}
sft: {completion_key: solution, batch_size: 8, max_steps: 4}
report: {samples_every: 2, samples: 1}
)");
}

}  // namespace e2e
