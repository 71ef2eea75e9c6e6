// docs/coming-from against the other systems' own options (tests/golden/make/options.py): every option that a page
// names is one, every option is told of or left out for a reason, and every default that differs is told.
//
// options/<system>.json    options and defaults, null where there is none that a file can hold
// sdk/src/config/convert/left_out/<system>.left_out
//                          "pattern: why it is left out", "~option: why its default is no default of our key",
//                          "+name" in a table that is no option
#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "coming_from.hpp"
#include "pages.hpp"

namespace grpo_test {
namespace {

using grpo::config::matches;

struct System {
  explicit System(const std::string& file)
      : options(nlohmann::ordered_json::parse(read(fs::path(GRPO_TEST_DATA "/options") / (file + ".json")))) {
    std::istringstream in(read(fs::path(GRPO_SOURCE_DIR "/sdk/src/config/convert/left_out") / (file + ".left_out")));
    for (std::string line; std::getline(in, line);) {
      if (line.empty() || line[0] == '#') continue;
      const auto colon = line.find(": ");
      const std::string what = line.substr(0, colon);
      if (what[0] == '+') {
        no_options.insert(what.substr(1));
        continue;
      }
      EXPECT_TRUE(colon != line.npos && line.size() - colon > 8) << file << ".left_out: without a reason: " << line;
      (what[0] == '~' ? other_meaning : left_out).insert({what[0] == '~' ? what.substr(1) : what, 0});
    }
  }

  // The option that a name in a table stands for: beside the one named before it in the row, by its whole name, below
  // the section's heading, or the only one that ends so.
  std::string named(const std::string& name, const std::string& heading, const std::string& before) const {
    const auto parent = before.rfind('.');
    if (!before.empty() && options.contains(before.substr(0, parent + 1) + name))
      return before.substr(0, parent + 1) + name;
    for (const auto& whole : {name, heading + "." + name})
      if (options.contains(whole)) return whole;
    std::string found;
    for (const auto& [option, value] : options.items()) {
      if (!option.ends_with("." + name)) continue;
      if (!found.empty()) return "";
      found = option;
    }
    return found;
  }

  nlohmann::ordered_json options;
  std::set<std::string> no_options;
  std::map<std::string, int> left_out, other_meaning;  // and how often it was needed
};

std::map<std::string, System> systems() {
  return {{"TRL", System("trl")},         {"EasyR1", System("easyr1")},
          {"verl", System("verl")},       {"AReaL 0.2", System("areal_boba")},
          {"AReaL 1.0", System("areal")}, {"MindSpeed-RL", System("mindspeed")}};
}

std::string text_of(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_number_float()) return value.dump();
  std::ostringstream out;
  out << value.get<double>();
  return out.str();
}

// Where both say something of the same kind, and not the same.
bool differ(const json& theirs, const json& ours) {
  if (theirs.is_number() && ours.is_number()) return theirs.get<double>() != ours.get<double>();
  if (theirs.is_boolean() && ours.is_boolean()) return theirs != ours;
  if (!theirs.is_string() || !ours.is_string()) return false;
  return !theirs.get<std::string>().empty() && !ours.get<std::string>().empty() && theirs != ours;
}

json default_of(const std::string& key) {
  const json* schema = key_schema(key);
  return schema ? schema->value("default", json()) : json();
}

using Lines = std::map<std::string, std::vector<std::string>>;  // by system

Lines check_tables(std::map<std::string, System>& known) {
  Lines defaults;
  std::map<std::string, std::set<std::string>> told;
  for (const Table& table : tables()) {
    const auto at = known.find(table.header[0]);
    if (!table.maps_options() || at == known.end()) continue;
    System& system = at->second;
    for (const Row& row : table.rows) {
      std::vector<std::string> options;
      std::string before;
      for (const auto& name : code_in(row.cells[0])) {
        if (system.no_options.contains(name)) continue;
        before = system.named(name, table.heading, before);
        EXPECT_NE(before, "") << row.where << ": `" << name << "` is no option of " << at->first << ", or several";
        options.push_back(before);
        told[at->first].insert(before);
      }
      const auto keys = code_in(row.cells[1]);
      if (keys.size() != options.size()) continue;
      for (std::size_t i = 0; i < keys.size(); ++i) {
        const json theirs = system.options.value(options[i], nlohmann::ordered_json()), ours = default_of(keys[i]);
        if (!differ(theirs, ours)) continue;
        if (const auto other = system.other_meaning.find(options[i]); other != system.other_meaning.end()) {
          ++other->second;
          continue;
        }
        const std::string line =
            "| `" + options[i] + "` | `" + text_of(theirs) + "` | `" + keys[i] + "` | `" + text_of(ours) + "` |";
        auto& lines = defaults[at->first];
        if (std::find(lines.begin(), lines.end(), line) == lines.end()) lines.push_back(line);
      }
    }
  }
  for (auto& [name, system] : known)
    for (const auto& [option, value] : system.options.items()) {
      if (told[name].contains(option)) continue;
      bool left_out = false;
      for (auto& [pattern, times] : system.left_out)
        if (matches(pattern, option)) left_out = true, ++times;
      EXPECT_TRUE(left_out) << name << ": " << option << " is neither in a table nor in its left_out";
    }
  return defaults;
}

// Replaces the rows of a page's table of defaults.
void write_defaults(const std::string& page, const std::string& system, const std::vector<std::string>& rows) {
  std::string text = read(page);
  const std::string header = "| " + system + " | its default | here | default |\n|---|---|---|---|\n";
  const auto begin = text.find(header);
  ASSERT_NE(begin, text.npos) << page;
  const auto from = begin + header.size(), to = text.find("\n\n", from);
  std::string all;
  for (const auto& row : rows) all += row + "\n";
  text.replace(from, to + 1 - from, all);
  std::ofstream(page, std::ios::binary) << text;
}

TEST(ComingFrom, EveryOptionOfTheOthersIsToldOfAndEveryOtherDefault) {
  auto known = systems();
  const Lines expected = check_tables(known);
  for (const auto& [name, system] : known) {
    EXPECT_GT(system.options.size(), 100u) << name;
    for (const auto& [pattern, times] : system.left_out) EXPECT_GT(times, 0) << name << ".left_out: " << pattern;
    for (const auto& [option, times] : system.other_meaning) EXPECT_GT(times, 0) << name << ".left_out: ~" << option;
  }
  Lines found;
  std::map<std::string, fs::path> page;
  for (const Table& table : tables())
    if (table.lists_defaults()) {
      auto& rows = found[table.header[0]];
      page[table.header[0]] = table.page;
      for (const Row& row : table.rows) {
        std::string line = "|";
        for (const auto& cell : row.cells) line += " " + cell + " |";
        rows.push_back(line);
      }
    }
  EXPECT_EQ(expected.size(), known.size());
  for (const auto& [system, rows] : expected) {
    if (std::getenv("GRPO_WRITE_DOCS"))
      write_defaults(page[system], system, rows);
    else
      EXPECT_EQ(found[system], rows) << system << ": GRPO_WRITE_DOCS=1 and this test write it anew";
  }
}

}  // namespace
}  // namespace grpo_test
