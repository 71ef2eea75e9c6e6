// names.hpp: the metrics of a step under the names that other systems have for them.
//
// Whoever comes from TRL, verl, EasyR1, MindSpeed or AReaL has dashboards and scripts that read certain names.
// `report.metric_names: [verl]` writes those beside ours. Each system has a table, names/<system>.def: its name, and
// how its value is made of ours. A name that ours already has is left as it is. What a system has and we cannot have is
// listed there too, with the reason (docs/metrics.md).
#ifndef GRPO_SDK_REPORT_NAMES_HPP
#define GRPO_SDK_REPORT_NAMES_HPP

#include <string>
#include <string_view>
#include <vector>

#include "grpo/sdk/report/metrics.hpp"

namespace grpo::report {

// What the values need besides the metrics.
struct NameSettings {
  double kl_coefficient = 0;
  double processes = 1;             // that share a step's work
  bool mask_truncated = false;      // completions that were cut off are left out of the loss
  std::string evaluation = "eval";  // name of the evaluation data, for verl's val-core/<name>/...
  double evaluation_samples = 1;    // completions of each prompt there
};

class MetricNames {
 public:
  // systems: of metric_systems(). Throws grpo::Error for another.
  MetricNames(const std::vector<std::string>& systems, NameSettings settings);
  // Adds their names to a step's metrics. A name whose value a step does not have is left out.
  void add(std::int64_t step, Metrics& metrics) const;

 private:
  std::vector<std::string> systems_;
  NameSettings settings_;
};

// "trl", "verl", "easyr1", "mindspeed", "areal".
std::vector<std::string> metric_systems();

// What a table says, for tests and documents. In names, <reward> and <data> stand for any name.
struct NameEntry {
  std::string name;
  std::string meaning;  // how it is made of ours, as the table writes it; for one that is left out: why
  bool written = false;
};
std::vector<NameEntry> metric_name_table(std::string_view system);

// docs/metric-names.md: all tables.
std::string metric_names_markdown();

}  // namespace grpo::report

#endif
