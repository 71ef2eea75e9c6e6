// docs/coming-from: every key that a page names is one.
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "loading.hpp"

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// "evaluation.datasets.path" in the schema; what is inside free options is the plugin's.
bool exists(const std::string& key) {
  static const json schema = json::parse(grpo::config::json_schema());
  const json* at = &schema;
  std::istringstream parts(key);
  for (std::string part; std::getline(parts, part, '.');) {
    if (at->contains("items")) at = &at->at("items").at("anyOf").at(0);
    if (!at->contains("properties")) return at->value("type", "") == "object";
    const json& keys = at->at("properties");
    const auto found = keys.find(part);
    if (found == keys.end()) return false;
    at = &*found;
  }
  return true;
}

// Cells between the bars of a table's row.
std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> out;
  std::istringstream in(line.substr(1));
  for (std::string cell; std::getline(in, cell, '|');) out.push_back(cell);
  return out;
}

TEST(ComingFrom, EveryNamedKeyExists) {
  const std::regex code("`([a-z_]+(\\.[a-z_0-9]+)+)`");
  int pages = 0, named = 0, rows = 0;
  for (const auto& entry : fs::directory_iterator(GRPO_SOURCE_DIR "/docs/coming-from")) {
    if (entry.path().extension() != ".md" || entry.path().filename() == "README.md") continue;
    ++pages;
    std::istringstream page(read(entry.path()));
    int number = 0;
    for (std::string line; std::getline(page, line);) {
      ++number;
      const std::string where = entry.path().filename().string() + ":" + std::to_string(number);
      if (!line.starts_with("| ") || line.find("---") != std::string::npos ||
          line.find("| here |") != std::string::npos)
        continue;
      const auto row = cells(line);
      ASSERT_GE(row.size(), 3u) << where;
      if (row[0].find("dataset  ") != std::string::npos || row[0].find("configs/") != std::string::npos) continue;
      ++rows;
      const bool not_here = row[1].find("not here, because") != std::string::npos;
      EXPECT_TRUE(!not_here || row[2].size() > 12) << where << ": without a reason";
      int keys = 0;
      for (std::sregex_iterator at(row[1].begin(), row[1].end(), code), end; at != end; ++at, ++keys)
        EXPECT_TRUE(exists((*at)[1])) << where << ": there is no key " << (*at)[1];
      EXPECT_TRUE(not_here || keys > 0) << where << ": neither a key nor a reason: " << line;
      named += keys;
    }
  }
  EXPECT_EQ(pages, 5);
  EXPECT_GT(rows, 150);
  EXPECT_GT(named, 250);
  EXPECT_FALSE(exists("run.no_such_key"));
  EXPECT_TRUE(exists("evaluation.datasets.prompt_style"));
}

// What the pages tell to run is there.
TEST(ComingFrom, NamedConfigurationsExist) {
  const std::regex file("configs/[a-z0-9-]+\\.yaml");
  int found = 0;
  for (const auto& entry : fs::directory_iterator(GRPO_SOURCE_DIR "/docs/coming-from")) {
    const std::string page = read(entry.path());
    for (std::sregex_iterator at(page.begin(), page.end(), file), end; at != end; ++at, ++found)
      EXPECT_TRUE(fs::exists(fs::path(GRPO_SOURCE_DIR) / at->str())) << entry.path() << ": " << at->str();
  }
  EXPECT_GT(found, 10);
}

}  // namespace
