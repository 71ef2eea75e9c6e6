// pages.hpp: what docs/coming-from says of an option, as data.
#ifndef GRPO_SRC_CONFIG_CONVERT_PAGES_HPP
#define GRPO_SRC_CONFIG_CONVERT_PAGES_HPP

#include <string>
#include <string_view>
#include <vector>

namespace grpo::config {

// An option in a row of a table.
struct Told {
  std::vector<std::string> names;  // as which it may be written; `*` stands for anything
  std::string key;                 // the one of ours that stands beside it; empty: several do, see keys
  std::vector<std::string> keys;   // of the row
  std::string note;                // its last column
  bool first = true;               // of several that stand beside one key
  bool here = true;                // false: "not here, because"
};

struct Default {
  std::string option, theirs, key;
};

// A line of <system>.left_out: options that the page does not tell of, and why.
struct LeftOut {
  std::string pattern, reason;
};

struct System {
  std::string name;  // "AReaL 1.0"
  std::string page;  // "areal.md"
  std::vector<Told> told;
  std::vector<Default> defaults;
  std::vector<LeftOut> left_out;

  const Told* find(const std::string& option) const;  // the most exact; null: not told of
  const std::string* reason(const std::string& option) const;
};

const std::vector<System>& all_systems();

// `*` in the pattern stands for anything.
bool matches(std::string_view pattern, std::string_view text);

}  // namespace grpo::config

#endif
