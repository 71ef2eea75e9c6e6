#include <algorithm>
#include <cstddef>

#include "grpo/sdk/plugins/manifest.hpp"

namespace grpo::plugins {
namespace {

using Row = std::vector<std::string>;

// Rows in aligned columns, two spaces between them, nothing after the last.
std::string table(const std::vector<Row>& rows, const std::string& indent) {
  std::vector<std::size_t> width;
  for (const Row& row : rows) {
    width.resize(std::max(width.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  }
  std::string out;
  for (const Row& row : rows) {
    std::string line = indent;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line += std::string(width[i] - row[i].size() + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  }
  return out;
}

// "0 to 1", "at least 0", "one of "a", "b""
std::string limits(const nlohmann::json& option) {
  if (const auto choices = option.find("enum"); choices != option.end()) {
    std::string out = "one of";
    for (const auto& choice : *choices) out += (out.size() > 6 ? ", " : " ") + choice.dump();
    return out;
  }
  const bool low = option.contains("minimum"), high = option.contains("maximum");
  if (low && high) return option["minimum"].dump() + " to " + option["maximum"].dump();
  if (low) return "at least " + option["minimum"].dump();
  if (high) return "at most " + option["maximum"].dump();
  return {};
}

Row option_row(const std::string& key, const nlohmann::json& option) {
  std::string standard = option.contains("default")        ? "= " + option["default"].dump()
                         : option.value("required", false) ? "required"
                                                           : "optional";
  const bool path = option.value("format", "") == "path";
  const std::string type = option.value("type", "");
  return {key,
          !path            ? type
          : type == "list" ? "list of paths"
                           : "path",
          standard, limits(option), option.value("description", "")};
}

}  // namespace

std::string list(const std::vector<Manifest>& manifests) {
  std::vector<Row> rows{{"KIND", "NAME", "VERSION", "LICENCE", "FILE"}};
  for (const Manifest& m : manifests) {
    for (const ComponentManifest& c : m.components)
      rows.push_back({kind_of(c.interface_id), c.name, m.version, m.licence, m.path});
  }
  std::sort(rows.begin() + 1, rows.end());
  return table(rows, "");
}

std::string describe(const Manifest& manifest) {
  std::vector<Row> head{{"file", manifest.path}, {"version", manifest.version}, {"licence", manifest.licence}};
  for (const auto& [what, version] : manifest.requires_once) head.push_back({"requires", what + " " + version});
  std::string out = manifest.name + '\n' + table(head, "  ");
  for (const ComponentManifest& c : manifest.components) {
    out += '\n' + kind_of(c.interface_id) + ' ' + c.name + "  (" + c.interface_id + ")\n";
    for (const std::string& id : c.offers) out += "  offers " + id + '\n';
    std::vector<Row> rows;
    for (const auto& [key, option] : c.options.items()) rows.push_back(option_row(key, option));
    out += rows.empty() ? "  no options\n" : "  options\n" + table(rows, "    ");
  }
  return out;
}

}  // namespace grpo::plugins
