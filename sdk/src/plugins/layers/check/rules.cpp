#include "rules.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace grpo::plugins {
namespace check::rule {

#define RULE(name, id, severity, meaning, way_out) const Rule name{id, Severity::severity, meaning, way_out};
#include "rules.def"
#undef RULE

}  // namespace check::rule

std::span<const Rule* const> rules() {
  static const std::vector<const Rule*> all = [] {
    namespace rule = check::rule;
    std::vector<const Rule*> list{
#define RULE(name, id, severity, meaning, way_out) &rule::name,
#include "rules.def"
#undef RULE
    };
    std::sort(list.begin(), list.end(), [](const Rule* a, const Rule* b) { return std::strcmp(a->id, b->id) < 0; });
    return list;
  }();
  return all;
}

std::string Violation::text() const {
  std::string who = "plugin '" + component + "' (" + path + "): " + function + ": ";
  if (by_caller) who += "called wrongly" + (caller.empty() ? std::string() : " by plugin '" + caller + "'") + ": ";
  return who + detail + " [" + rule->id + "]: " + rule->way_out;
}

}  // namespace grpo::plugins
