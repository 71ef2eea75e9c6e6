// The objective against TRL's own code: loss, both gradients and the metrics, in double precision.
#include <cmath>

#include "golden.hpp"
#include "grpo/sdk/algorithm/objective_row.hpp"

namespace grpo::algorithm {
namespace {

using nlohmann::json;

double largest_difference(const json& ours, const json& theirs) {
  if (theirs.is_null() || ours.is_null()) return theirs.is_null() && ours.is_null() ? 0 : INFINITY;
  if (!theirs.is_array()) return std::abs(ours.get<double>() - theirs.get<double>());
  if (ours.size() != theirs.size()) return INFINITY;
  double largest = 0;
  for (size_t i = 0; i < theirs.size(); ++i) largest = std::max(largest, largest_difference(ours[i], theirs[i]));
  return largest;
}

TEST(Golden, LossAndGradientsAreThoseOfTrl) {
  double worst = 0;
  for (const json& row : golden("objectives")) {
    const json ours = objective_row(row);
    const json& theirs = row.at("expected");
    for (const char* key : {"loss", "dlogp", "dentropy"}) {
      const double difference = largest_difference(ours.at(key), theirs.at(key));
      EXPECT_LT(difference, 1e-12) << key << " of row " << row.at("id") << ": " << row.at("config") << "\n"
                                   << ours.at(key) << "\n"
                                   << theirs.at(key);
      worst = std::max(worst, difference);
    }
  }
  RecordProperty("largest_difference", std::to_string(worst));
}

// TRL counts an empty row's ratio as one that is not clipped, and the entropy of no token as 0. Here what has no tokens
// is not measured.
bool has_an_empty_row(const json& row) {
  const json& mask = row.contains("completion_mask") ? row.at("completion_mask") : row.at("per_token_logps");
  for (size_t i = 0; i < mask.size(); ++i) {
    int kept = 0;
    for (size_t t = 0; t < mask[i].size(); ++t) {
      const bool completion = !row.contains("completion_mask") || mask[i][t] == 1;
      kept += completion && (!row.contains("tool_mask") || row.at("tool_mask")[i][t] == 1);
    }
    if (kept == 0) return true;
  }
  return false;
}

TEST(Golden, MetricsAreThoseOfTrl) {
  int compared = 0;
  for (const json& row : golden("objectives")) {
    if (has_an_empty_row(row)) continue;
    const json ours = objective_row(row).at("metrics");
    for (const auto& [name, value] : row.at("expected").at("metrics").items()) {
      ASSERT_TRUE(ours.contains(name)) << name << " of row " << row.at("id");
      EXPECT_NEAR(ours.at(name).get<double>(), value.get<double>(), 1e-6) << name << " of row " << row.at("id");
      ++compared;
    }
  }
  EXPECT_GT(compared, 300);
}

}  // namespace
}  // namespace grpo::algorithm
