// draft.hpp: a configuration of ours while it is made from theirs.
#ifndef GRPO_SRC_CONFIG_CONVERT_DRAFT_HPP
#define GRPO_SRC_CONFIG_CONVERT_DRAFT_HPP

#include <map>
#include <set>
#include <string>
#include <vector>

#include "pages.hpp"
#include "theirs.hpp"

namespace grpo::config {

struct Line {
  std::string key;  // "optimizer.learning_rate", "rewards"
  json value;
  std::string comment;
};

class Draft {
 public:
  Draft(const Theirs& theirs, const System& system) : theirs(theirs), system(system) {}

  const Theirs& theirs;
  const System& system;

  // Theirs, or what stands where they have nothing.
  double number(const std::string& option, double otherwise) const;
  bool flag(const std::string& option, bool otherwise) const;
  std::string text(const std::string& option, const std::string& otherwise = "") const;
  bool given(const std::string& option) const { return theirs.find(option) != nullptr; }

  // A value of ours; the first one stays. false: ours does not take it.
  bool set(const std::string& key, json value, const std::string& comment);
  bool has(const std::string& key) const { return keys_.contains(key); }
  // These options of theirs are told with others; `*` stands for anything.
  void told(const std::vector<std::string>& patterns);
  bool is_told(const std::string& option) const;
  // A key that keeps our default, whatever the page's table of defaults says.
  void keep_default(const std::string& key) { kept_.insert(key); }
  bool keeps_default(const std::string& key) const { return kept_.contains(key); }
  // For a person to look at.
  void look(const std::string& what) { looks.push_back(what); }

  std::vector<Line> lines;
  std::vector<std::string> looks;

 private:
  std::set<std::string> keys_, kept_;
  std::vector<std::string> told_;
};

// What of this system needs more than another name. Before the tables are asked.
void apply_rules(Draft& draft);

}  // namespace grpo::config

#endif
