// run_yaml.hpp: run.yaml, as config::effective_yaml writes it, cut into rows for a table.
#ifndef GRPO_SRC_REPORT_RUN_YAML_HPP
#define GRPO_SRC_REPORT_RUN_YAML_HPP

#include <string>
#include <vector>

namespace grpo::report {

struct YamlRow {
  std::string key;     // "rewards.0.weight"
  std::string value;   // as it is written
  std::string origin;  // "default", "run.yaml:3"; empty: not told
};

// A line that does not look like "key: value  # origin" continues the value before it.
std::vector<YamlRow> yaml_rows(const std::string& yaml);

}  // namespace grpo::report

#endif
