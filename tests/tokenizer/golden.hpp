// golden.hpp: the tokenizers and texts of data/, which tests/golden/make/tokenizers_golden.py writes.
#ifndef GRPO_TESTS_TOKENIZER_GOLDEN_HPP
#define GRPO_TESTS_TOKENIZER_GOLDEN_HPP

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace golden {

inline std::filesystem::path data(const std::string& file) {
  return std::filesystem::path(GRPO_TEST_DATA) / "data" / file;
}

inline std::vector<nlohmann::json> lines(const std::string& file) {
  std::ifstream in(data(file));
  if (!in) throw std::runtime_error(data(file).string() + ": cannot be opened");
  std::vector<nlohmann::json> result;
  for (std::string line; std::getline(in, line);) result.push_back(nlohmann::json::parse(line));
  return result;
}

// Every text that the goldens encode.
inline const std::vector<std::string>& texts() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> result;
    for (const auto& line : lines("texts.jsonl")) result.push_back(line.get<std::string>());
    return result;
  }();
  return all;
}

// Names of the committed tokenizers: data/<name>.json.
inline const std::vector<std::string>& names() {
  static const std::vector<std::string> all = {
      "gpt2",       "llama3",  "qwen2",           "deepseek_v3", "deepseek_llm", "deepseek_coder",
      "gpt4o",      "smollm2", "smollm2_reduced", "falcon",      "nfkc",         "nfd",
      "nfkd_words", "mistral", "gemma",           "metaspace",   "unknowns",
  };
  return all;
}

}  // namespace golden

#endif
