// Reads the JSONL files of tests/golden/make/objectives.py.
#ifndef GRPO_TESTS_ALGORITHM_GOLDEN_HPP
#define GRPO_TESTS_ALGORITHM_GOLDEN_HPP

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

inline std::vector<nlohmann::json> golden(const std::string& name) {
  const std::string path = std::string(GRPO_TEST_DATA) + "/golden/" + name + ".jsonl";
  std::ifstream file(path);
  std::vector<nlohmann::json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(nlohmann::json::parse(line));
  EXPECT_FALSE(rows.empty()) << path;
  return rows;
}

#endif
