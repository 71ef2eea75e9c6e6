#include "run_yaml.hpp"

#include <sstream>

namespace grpo::report {
namespace {

// The name before a ": " or a final ":", if the text begins with one.
std::string name_of(const std::string& text) {
  const auto end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789");
  if (end == 0 || end == text.npos || text[end] != ':') return {};
  return end + 1 == text.size() || text[end + 1] == ' ' ? text.substr(0, end) : std::string();
}

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(' '), last = text.find_last_not_of(' ');
  return first == text.npos ? std::string() : text.substr(first, last - first + 1);
}

}  // namespace

std::vector<YamlRow> yaml_rows(const std::string& yaml) {
  std::vector<YamlRow> rows;
  std::string section;
  int element = -1;  // of a section that is a list
  std::istringstream in(yaml);
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    if (line[0] != ' ') {
      section = name_of(line);
      element = -1;
      continue;
    }
    std::string rest = line.substr(line.find_first_not_of(' '));
    if (rest.starts_with("- ")) {
      rest = trimmed(rest.substr(2));
      ++element;
    }
    std::string origin;
    if (const auto mark = rest.rfind("  # "); mark != rest.npos) {
      origin = trimmed(rest.substr(mark + 4));
      rest = trimmed(rest.substr(0, mark));
    }
    const auto name = name_of(rest);
    if (name.empty()) {
      if (!rows.empty()) rows.back().value += "\n" + rest;
      continue;
    }
    rows.push_back({section + (element < 0 ? "." : "." + std::to_string(element) + ".") + name,
                    trimmed(rest.substr(name.size() + 1)), origin});
  }
  return rows;
}

}  // namespace grpo::report
