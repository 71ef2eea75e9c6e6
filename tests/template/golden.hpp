// golden.hpp: reading what the scripts under tests/golden/make wrote.
#ifndef GRPO_TESTS_TEMPLATE_GOLDEN_HPP
#define GRPO_TESTS_TEMPLATE_GOLDEN_HPP

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace golden {

using Json = nlohmann::ordered_json;

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::vector<Json> read_lines(const std::string& name) {
  std::ifstream file(std::string(GRPO_TEST_DATA) + "/" + name);
  if (!file) throw std::runtime_error("cannot read " + name);
  std::vector<Json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
  return lines;
}

}  // namespace golden

#endif
