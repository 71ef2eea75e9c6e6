#include "pages.hpp"

#include <algorithm>
#include <regex>
#include <sstream>
#include <utility>

#include "coming_from_files.hpp"  // generated: pages, left_out

namespace grpo::config {
namespace {

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \r"), last = text.find_last_not_of(" \r");
  return first == text.npos ? "" : text.substr(first, last - first + 1);
}

std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> out;
  std::istringstream in(line.substr(1));
  for (std::string cell; std::getline(in, cell, '|');) out.push_back(trimmed(cell));
  return out;
}

std::vector<std::string> code_in(const std::string& cell) {
  std::vector<std::string> out;
  for (auto open = cell.find('`'); open != cell.npos;) {
    const auto close = cell.find('`', open + 1);
    if (close == cell.npos) break;
    out.push_back(cell.substr(open + 1, close - open - 1));
    open = cell.find('`', close + 1);
  }
  return out;
}

// [text](page.md): the text.
std::string without_links(const std::string& text) {
  static const std::regex link(R"(\[([^\]]*)\]\([^)]*\))");
  return std::regex_replace(text, link, "$1");
}

System& system_of(std::vector<System>& all, const std::string& name, const std::string& page) {
  for (auto& system : all)
    if (system.name == name) return system;
  all.push_back({name, page, {}, {}, {}});
  return all.back();
}

// TRL's pages name the class that has an option, its files do not.
std::string without_class(const std::string& name) {
  for (const std::string_view prefix : {"GRPOConfig.", "GRPOTrainer."})
    if (name.starts_with(prefix)) return name.substr(prefix.size());
  return name;
}

// A name may be whole, below the section's heading, or beside the one before it.
void read_row(System& system, const std::string& heading, const std::vector<std::string>& row) {
  const auto names = code_in(row[0]);
  const auto keys = code_in(row[1]);
  std::string parent;
  for (std::size_t i = 0; i < names.size(); ++i) {
    Told told;
    const std::string name = without_class(names[i]);
    told.names = {name};
    for (const auto& above : {heading, parent, heading + "." + parent})
      if (!above.empty() && above.back() != '.') told.names.push_back(above + "." + name);
    told.keys = keys;
    told.first = i == 0;
    if (keys.size() == names.size()) told.key = keys[i];
    if (keys.size() == 1) told.key = keys[0];
    if (keys.size() == names.size()) told.first = true;
    told.here = row[1].find("not here, because") == std::string::npos;
    told.note = row.size() > 2 ? without_links(row[2]) : "";
    if (const auto dot = name.rfind('.'); dot != name.npos) parent = name.substr(0, dot);
    system.told.push_back(std::move(told));
  }
}

void read_page(std::vector<System>& all, const std::string& page, std::string_view text) {
  std::istringstream in{std::string(text)};
  std::string heading;
  std::vector<std::string> header;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("## ")) heading = trimmed(line.substr(3));
    if (!line.starts_with("|")) {
      header.clear();
      continue;
    }
    const auto row = cells(line);
    if (header.empty()) {
      header = row;
      continue;
    }
    if (line.find("---") != line.npos || heading == "SFTConfig" || header.size() < 2) continue;
    if (header.size() == 4 && header[1] == "its default") {
      const auto theirs = code_in(row[1]);
      system_of(all, header[0], page)
          .defaults.push_back(
              {without_class(code_in(row[0]).at(0)), theirs.empty() ? "" : theirs[0], code_in(row[2]).at(0)});
    } else if (header[1] == "here" && header[0] != "there") {
      read_row(system_of(all, header[0], page), heading, row);
    }
  }
}

void read_left_out(System& system, std::string_view text) {
  std::istringstream in{std::string(text)};
  for (std::string line; std::getline(in, line);) {
    const auto colon = line.find(": ");
    if (line.empty() || colon == line.npos || line[0] == '#' || line[0] == '+' || line[0] == '~') continue;
    system.left_out.push_back({without_class(line.substr(0, colon)), line.substr(colon + 2)});
  }
}

std::vector<System> read_all() {
  std::vector<System> all;
  for (const auto& [name, text] : coming_from_files)
    if (name.ends_with(".md")) read_page(all, std::string(name), text);
  constexpr std::pair<std::string_view, std::string_view> files[] = {
      {"areal.left_out", "AReaL 1.0"}, {"areal_boba.left_out", "AReaL 0.2"},
      {"easyr1.left_out", "EasyR1"},   {"mindspeed.left_out", "MindSpeed-RL"},
      {"trl.left_out", "TRL"},         {"verl.left_out", "verl"}};
  for (const auto& [file, system] : files)
    for (const auto& [name, text] : coming_from_files)
      if (name == file) read_left_out(system_of(all, std::string(system), ""), text);
  return all;
}

}  // namespace

bool matches(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] != '*') return !text.empty() && pattern[0] == text[0] && matches(pattern.substr(1), text.substr(1));
  for (std::size_t i = 0; i <= text.size(); ++i)
    if (matches(pattern.substr(1), text.substr(i))) return true;
  return false;
}

const std::vector<System>& all_systems() {
  static const std::vector<System> all = read_all();
  return all;
}

const Told* System::find(const std::string& option) const {
  const Told* best = nullptr;
  std::size_t exactness = 0;  // letters that are no `*`
  for (const auto& candidate : told)
    for (const auto& form : candidate.names) {
      if (!matches(form, option)) continue;
      const std::size_t letters = form.size() - static_cast<std::size_t>(std::count(form.begin(), form.end(), '*'));
      if (letters > exactness) {
        best = &candidate;
        exactness = letters;
      }
    }
  if (best || name != "MindSpeed-RL") return best;
  // whose pages name options without their sections
  for (const auto& candidate : told)
    if (option.ends_with("." + candidate.names[0])) return &candidate;
  return nullptr;
}

const std::string* System::reason(const std::string& option) const {
  for (const auto& line : left_out)
    if (matches(line.pattern, option)) return &line.reason;
  // MindSpeed-RL's roles have the options of megatron_training
  constexpr std::string_view role = "actor_config.";
  if (name == "MindSpeed-RL" && option.starts_with(role))
    return reason("megatron_training." + option.substr(role.size()));
  // another engine's of verl, which its default configuration has none of
  static const std::string one_process = "one process for now";
  return name == "verl" && matches("*.megatron.*", option) ? &one_process : nullptr;
}

}  // namespace grpo::config
