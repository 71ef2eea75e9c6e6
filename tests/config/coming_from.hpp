// The tables of docs/coming-from, and what the schema says of the keys that they name.
#ifndef GRPO_TESTS_CONFIG_COMING_FROM_HPP
#define GRPO_TESTS_CONFIG_COMING_FROM_HPP

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "loading.hpp"

namespace grpo_test {

using nlohmann::json;
namespace fs = std::filesystem;

inline const fs::path coming_from = GRPO_SOURCE_DIR "/docs/coming-from";

inline std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The schema of "evaluation.datasets.path"; of what is inside free options, that of the options. Null: no such key.
inline const json* key_schema(const std::string& key) {
  static const json schema = json::parse(grpo::config::json_schema());
  const json* at = &schema;
  std::istringstream parts(key);
  for (std::string part; std::getline(parts, part, '.');) {
    if (at->contains("items")) at = &at->at("items").at("anyOf").at(0);
    if (!at->contains("properties")) return at->value("type", "") == "object" ? at : nullptr;
    const json& keys = at->at("properties");
    const auto found = keys.find(part);
    if (found == keys.end()) return nullptr;
    at = &*found;
  }
  return at;
}

inline std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \r"), last = text.find_last_not_of(" \r");
  return first == text.npos ? "" : text.substr(first, last - first + 1);
}

struct Row {
  std::string where;  // "trl.md:17"
  std::vector<std::string> cells;
};

struct Table {
  fs::path page;
  std::string heading;  // of its section
  std::vector<std::string> header;
  std::vector<Row> rows;
  bool maps_options() const { return header.size() >= 2 && header[1] == "here"; }
  bool lists_defaults() const { return header.size() == 4 && header[1] == "its default"; }
};

inline std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> out;
  std::istringstream in(line.substr(1));
  for (std::string cell; std::getline(in, cell, '|');) out.push_back(trimmed(cell));
  return out;
}

inline std::vector<Table> tables() {
  std::vector<fs::path> pages;
  for (const auto& entry : fs::directory_iterator(coming_from))
    if (entry.path().extension() == ".md" && entry.path().filename() != "README.md") pages.push_back(entry.path());
  std::sort(pages.begin(), pages.end());
  std::vector<Table> out;
  for (const auto& path : pages) {
    std::istringstream page(read(path));
    std::string heading;
    int number = 0;
    bool inside = false;
    for (std::string line; std::getline(page, line);) {
      ++number;
      if (line.starts_with("## ")) heading = trimmed(line.substr(3));
      if (!line.starts_with("|")) {
        inside = false;
        continue;
      }
      if (!inside) out.push_back({path, heading, cells(line), {}});
      if (inside && line.find("---") == line.npos)
        out.back().rows.push_back({path.filename().string() + ":" + std::to_string(number), cells(line)});
      inside = true;
    }
  }
  return out;
}

// What stands between backticks.
inline std::vector<std::string> code_in(const std::string& cell) {
  static const std::regex code("`([^`]+)`");
  std::vector<std::string> out;
  for (std::sregex_iterator at(cell.begin(), cell.end(), code), end; at != end; ++at) out.push_back((*at)[1]);
  return out;
}

}  // namespace grpo_test

#endif
